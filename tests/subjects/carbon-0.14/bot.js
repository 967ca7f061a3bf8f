// A bot of @buape/carbon 0.14.0 with nothing in it but what gwtool needs to see: each message that reached its listener, on stdout.

import { Client, MessageCreateListener } from "@buape/carbon"
import { GatewayIntents, GatewayPlugin } from "@buape/carbon/gateway"

const { DISCORD_TOKEN, GWTOOL_API_URL, GWTOOL_GATEWAY_URL } = process.env

class Delivered extends MessageCreateListener {
	async handle(message) {
		console.log(`gwtool:delivered ${message.content}`)
	}
}

const gateway = new GatewayPlugin(
	{ intents: GatewayIntents.Guilds | GatewayIntents.GuildMessages | GatewayIntents.MessageContent },
	// What `GET /gateway/bot` would answer. Without it the plugin asks discord.com, whatever address the client was given.
	{
		url: GWTOOL_GATEWAY_URL,
		shards: 1,
		session_start_limit: { total: 1000, remaining: 1000, reset_after: 0, max_concurrency: 1 }
	}
)

// An EventEmitter throws an `error` that nobody listens for: without this the bot dies of the first connection that is refused,
// and of each fatal close code, before the library has done anything about them.
gateway.emitter.on("error", (error) => console.error(`gateway error: ${error.message}`))

new Client(
	{
		baseUrl: "http://localhost",
		clientId: "1216348160000000000",
		// Checks interactions that come by HTTP; none do.
		publicKey: "0".repeat(64),
		token: DISCORD_TOKEN,
		disableDeployRoute: true,
		requestOptions: { baseUrl: GWTOOL_API_URL }
	},
	{ listeners: [new Delivered()] },
	[gateway]
)

// `disconnect` alone is no end: it sends a Close without a code, and this version connects again a second after the socket has
// closed. So the process ends with the socket.
process.once("SIGTERM", () => {
	const socket = gateway.ws
	gateway.disconnect()
	if (!socket || socket.readyState === socket.CLOSED) process.exit(0)
	socket.once("close", () => process.exit(0))
})
