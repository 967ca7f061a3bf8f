// A bot of discord.js 14 with nothing in it but what gwtool needs to see: each message that reached its handler, on stdout.

import { Client, Events, GatewayIntentBits } from "discord.js"

const { DISCORD_TOKEN, GWTOOL_API_URL } = process.env

const client = new Client({
	intents: [GatewayIntentBits.Guilds, GatewayIntentBits.GuildMessages, GatewayIntentBits.MessageContent],
	// The gateway's address comes from `GET /gateway/bot` there.
	rest: { api: GWTOOL_API_URL }
})

client.once(Events.ClientReady, (ready) => console.error(`logged in as ${ready.user.tag}`))

client.on(Events.MessageCreate, (message) => console.log(`gwtool:delivered ${message.content}`))

process.once("SIGTERM", async () => {
	await client.destroy()
	// Caught between two connections, it would open the next one all the same.
	process.exit(0)
})

client.login(DISCORD_TOKEN)
