"""A bot of discord.py 2.7 with nothing in it but what gwtool needs to see: each message that reached its handler, on stdout."""

import os
import signal

import discord
import yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route

# Both addresses are constants of the library. It asks for no gateway's address as long as it has one shard.
Route.BASE = os.environ["GWTOOL_API_URL"] + "/v10"
DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(os.environ["GWTOOL_GATEWAY_URL"])

intents = discord.Intents(guilds=True, guild_messages=True, message_content=True)
client = discord.Client(intents=intents)


@client.event
async def on_message(message):
    print(f"gwtool:delivered {message.content}", flush=True)


# `run` knows one order to stop, Ctrl-C, and closes the client then; a SIGTERM is made one.
signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))

client.run(os.environ["DISCORD_TOKEN"])
