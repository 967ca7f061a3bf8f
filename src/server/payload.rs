//! What the fake's world looks like from outside: one bot, one guild a shard, one person who writes numbered messages.
//!
//! Typed payloads, in the shape that the strictest known client decodes (Discord, "Gateway Events", "Guild Object", "Message
//! Object"). Everything is constant but ids and numbers: no clock gives the times in here. A message is the one payload that
//! is made by the million, so it is written once, and only its numbers are filled in.

use crate::protocol::{Json, Shard};
use crate::time::Duration;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// The bot's user id, and its application's.
pub const BOT: u64 = 290_000_000_000 << 22;
/// The user who writes every message.
const AUTHOR: u64 = 290_000_000_001 << 22;
/// The guilds' ids begin here: milliseconds since Discord's epoch, in July 2024.
const GUILD_TIME: u64 = 300_000_000_000;
/// The guilds' birth as text; the bot and the author joined then.
const GUILD_TIMESTAMP: &str = "2024-07-04T05:20:00.000000+00:00";
/// The messages' ids begin here: in February 2026. The number of the message is added to the lowest bits.
const MESSAGE_TIME: u64 = 350_000_000_000;
/// More messages than any run writes, and fewer than fit between their ids and the next kind's.
pub const NUMBER_MAX: u64 = u32::MAX as u64;
/// The messages' time as text.
const MESSAGE_TIMESTAMP: &str = "2026-02-02T22:13:20.000000+00:00";
/// The ids of what the bot writes begin here: in May 2026, so that they are no numbered message's.
const REPLY_TIME: u64 = 360_000_000_000;
/// The time of what the bot writes as text.
const REPLY_TIMESTAMP: &str = "2026-05-29T16:00:00.000000+00:00";
/// What stands in every `_trace`.
const TRACE: [&str; 1] = ["gwtool"];

/// An empty array.
type Empty = [(); 0];

/// A number written as a JSON string, as Discord writes its ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digits {
    bytes: [u8; 20],
    start: u8,
}

impl From<u64> for Digits {
    fn from(mut number: u64) -> Self {
        let mut bytes = [b'0'; 20];
        let mut start = 20;
        loop {
            start -= 1;
            bytes[usize::from(start)] =
                b'0' + u8::try_from(number % 10).expect("a remainder of ten is one digit");
            number /= 10;
            if number == 0 {
                return Self { bytes, start };
            }
        }
    }
}

impl Digits {
    /// The digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[usize::from(self.start)..]).expect("digits are ASCII")
    }
}

impl Serialize for Digits {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

/// The guild and the channel in which a session's messages are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// As a JSON string.
    guild: Json,
    /// As a JSON string.
    channel: Json,
    /// The text of its messages.
    template: Template,
}

impl Place {
    /// The one guild of a shard: the id has to lead to that shard (Discord, "Sharding").
    pub fn of(shard: Option<Shard>) -> Self {
        let Shard { id, count } = shard.unwrap_or(Shard { id: 0, count: 1 });
        let count = u64::from(count);
        let guild = (GUILD_TIME - GUILD_TIME % count + u64::from(id)) << 22;
        let (guild, channel) = (Digits::from(guild), Digits::from(guild | 1));
        Self {
            guild: Json::of(&guild),
            channel: Json::of(&channel),
            template: Template::of(guild, channel),
        }
    }
}

/// The bot as itself: READY's `user`, and the answer to `/users/@me`.
#[derive(Serialize)]
struct BotUser {
    id: Digits,
    username: &'static str,
    discriminator: &'static str,
    global_name: (),
    avatar: (),
    bot: bool,
    verified: bool,
    mfa_enabled: bool,
    flags: u32,
    email: (),
}

fn bot_user() -> BotUser {
    BotUser {
        id: BOT.into(),
        username: "gwtool",
        discriminator: "0",
        global_name: (),
        avatar: (),
        bot: true,
        verified: true,
        mfa_enabled: false,
        flags: 0,
        email: (),
    }
}

/// The person who writes the messages, and whose bot it is.
#[derive(Serialize)]
struct Author {
    id: Digits,
    username: &'static str,
    discriminator: &'static str,
    global_name: (),
    avatar: (),
}

fn author() -> Author {
    Author {
        id: AUTHOR.into(),
        username: "traffic",
        discriminator: "0",
        global_name: (),
        avatar: (),
    }
}

/// The answer to `/users/@me`.
pub fn me() -> Json {
    Json::of(&bot_user())
}

/// The answer to `/applications/@me` and `/oauth2/applications/@me`.
pub fn application() -> Json {
    #[derive(Serialize)]
    struct Application {
        id: Digits,
        name: &'static str,
        icon: (),
        description: &'static str,
        bot_public: bool,
        bot_require_code_grant: bool,
        verify_key: &'static str,
        flags: u32,
        bot: BotUser,
        owner: Author,
        team: (),
    }
    Json::of(&Application {
        id: BOT.into(),
        name: "gwtool",
        icon: (),
        description: "",
        bot_public: false,
        bot_require_code_grant: false,
        // Nobody signs anything here; clients only want 64 hexadecimal digits.
        verify_key: "0000000000000000000000000000000000000000000000000000000000000000",
        flags: 0,
        bot: bot_user(),
        owner: author(),
        team: (),
    })
}

/// Somebody as others see them.
#[derive(Serialize)]
struct User {
    id: Digits,
    username: &'static str,
    discriminator: &'static str,
    global_name: (),
    avatar: (),
    bot: bool,
}

/// The answer to `/users/{id}`: the bot, the author of the messages, or somebody who happens to have that id.
pub fn user(id: u64) -> Json {
    Json::of(&user_of(id))
}

fn user_of(id: u64) -> User {
    User {
        id: id.into(),
        username: match id {
            BOT => "gwtool",
            AUTHOR => "traffic",
            _ => "somebody",
        },
        discriminator: "0",
        global_name: (),
        avatar: (),
        bot: id == BOT,
    }
}

/// The answer to `/channels/{id}`: a text channel of the guild that its id leads to, as every [`Place`]'s does.
pub fn channel(id: u64) -> Json {
    // Clients take no id for zero, whatever they ask for.
    let guild = Json::of(&Digits::from((id >> 22).max(1) << 22));
    Json::of(&channel_of(&Json::of(&Digits::from(id)), &guild))
}

/// The answer to `/guilds/{id}`: the guild as `GUILD_CREATE` has it.
pub fn guild(id: u64) -> Json {
    let channel = Json::of(&Digits::from(id | 1));
    guild_of(&Json::of(&Digits::from(id)), &channel)
}

/// What a bot writes into a channel, as far as the answer repeats it.
#[derive(Debug, Clone, Copy)]
pub struct Draft<'a> {
    /// Its text.
    pub content: &'a str,
    /// By which the client knows it again, as it gave it.
    pub nonce: Option<&'a RawValue>,
    /// The message that it answers.
    pub reply_to: Option<u64>,
}

/// The answer to `POST /channels/{id}/messages`: the message, made by the `number`th request (Discord, "Message Object").
pub fn posted(number: u64, channel: u64, draft: &Draft<'_>) -> Json {
    #[derive(Serialize)]
    struct Posted<'a> {
        id: Digits,
        channel_id: Digits,
        author: User,
        content: &'a str,
        timestamp: &'static str,
        edited_timestamp: (),
        tts: bool,
        mention_everyone: bool,
        mentions: Empty,
        mention_roles: Empty,
        attachments: Empty,
        embeds: Empty,
        components: Empty,
        pinned: bool,
        r#type: u8,
        flags: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        nonce: Option<&'a RawValue>,
        #[serde(skip_serializing_if = "Option::is_none")]
        message_reference: Option<Reference>,
    }
    #[derive(Serialize)]
    struct Reference {
        r#type: u8,
        message_id: Digits,
        channel_id: Digits,
    }
    Json::of(&Posted {
        id: ((REPLY_TIME << 22) + number).into(),
        channel_id: channel.into(),
        author: user_of(BOT),
        content: draft.content,
        timestamp: REPLY_TIMESTAMP,
        edited_timestamp: (),
        tts: false,
        mention_everyone: false,
        mentions: [],
        mention_roles: [],
        attachments: [],
        embeds: [],
        components: [],
        pinned: false,
        // A reply has a type of its own.
        r#type: if draft.reply_to.is_some() { 19 } else { 0 },
        flags: 0,
        nonce: draft.nonce,
        message_reference: draft.reply_to.map(|id| Reference {
            r#type: 0,
            message_id: id.into(),
            channel_id: channel.into(),
        }),
    })
}

/// The number of the numbered message with an id; `None` if no such message has it.
pub fn number_of(id: u64) -> Option<u64> {
    let number = id.checked_sub(MESSAGE_TIME << 22)?;
    (1..=NUMBER_MAX).contains(&number).then_some(number)
}

/// HELLO's payload.
pub fn hello(interval: Duration) -> Json {
    #[derive(Serialize)]
    struct Hello {
        heartbeat_interval: u64,
        _trace: [&'static str; 1],
    }
    Json::of(&Hello {
        heartbeat_interval: u64::try_from(interval.as_millis()).unwrap_or(u64::MAX),
        _trace: TRACE,
    })
}

/// READY's payload (Discord, "Ready"; PROTOCOL §8.1).
pub fn ready(session_id: &str, resume_url: &str, shard: Option<Shard>, place: &Place) -> Json {
    #[derive(Serialize)]
    struct Ready<'a> {
        v: u8,
        user: BotUser,
        guilds: [Outage<'a>; 1],
        session_id: &'a str,
        resume_gateway_url: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        shard: Option<Shard>,
        application: Application,
        session_type: &'static str,
        private_channels: Empty,
        presences: Empty,
        relationships: Empty,
        guild_join_requests: Empty,
        geo_ordered_rtc_regions: Empty,
        _trace: [&'static str; 1],
    }
    #[derive(Serialize)]
    struct Outage<'a> {
        id: &'a Json,
        unavailable: bool,
    }
    #[derive(Serialize)]
    struct Application {
        id: Digits,
        flags: u32,
    }
    Json::of(&Ready {
        v: 10,
        user: bot_user(),
        guilds: [Outage {
            id: &place.guild,
            unavailable: true,
        }],
        session_id,
        resume_gateway_url: resume_url,
        shard,
        application: Application {
            id: BOT.into(),
            flags: 0,
        },
        session_type: "normal",
        private_channels: [],
        presences: [],
        relationships: [],
        guild_join_requests: [],
        geo_ordered_rtc_regions: [],
        _trace: TRACE,
    })
}

/// RESUMED's payload: an object, since one well-known client writes a key into it.
pub fn resumed() -> Json {
    #[derive(Serialize)]
    struct Resumed {
        _trace: [&'static str; 1],
    }
    Json::of(&Resumed { _trace: TRACE })
}

/// The payload of the one chunk that answers a request for guild members: the guild has none that match.
pub fn members_chunk(guild_id: &RawValue, nonce: Option<&RawValue>) -> Json {
    #[derive(Serialize)]
    struct Answer<'a> {
        guild_id: &'a RawValue,
        members: Empty,
        chunk_index: u32,
        chunk_count: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        nonce: Option<&'a RawValue>,
    }
    Json::of(&Answer {
        guild_id,
        members: [],
        chunk_index: 0,
        chunk_count: 1,
        nonce,
    })
}

/// The payload of `GUILD_CREATE`: the guild in full (PROTOCOL §8.2).
pub fn guild_create(place: &Place) -> Json {
    guild_of(&place.guild, &place.channel)
}

fn guild_of(guild: &Json, channel: &Json) -> Json {
    Json::of(&GuildCreate {
        id: guild,
        name: "gwtool",
        icon: (),
        splash: (),
        discovery_splash: (),
        owner_id: AUTHOR.into(),
        afk_channel_id: (),
        afk_timeout: 300,
        verification_level: 0,
        default_message_notifications: 0,
        explicit_content_filter: 0,
        roles: [Role {
            id: guild,
            name: "@everyone",
            color: 0,
            colors: RoleColors {
                primary_color: 0,
                secondary_color: (),
                tertiary_color: (),
            },
            hoist: false,
            icon: (),
            unicode_emoji: (),
            position: 0,
            permissions: "104324673",
            managed: false,
            mentionable: false,
            flags: 0,
        }],
        emojis: [],
        stickers: [],
        features: [],
        mfa_level: 0,
        application_id: (),
        system_channel_id: (),
        system_channel_flags: 0,
        rules_channel_id: (),
        vanity_url_code: (),
        description: (),
        banner: (),
        premium_tier: 0,
        premium_subscription_count: 0,
        preferred_locale: "en-US",
        public_updates_channel_id: (),
        nsfw: false,
        nsfw_level: 0,
        premium_progress_bar_enabled: false,
        safety_alerts_channel_id: (),
        joined_at: GUILD_TIMESTAMP,
        large: false,
        unavailable: false,
        member_count: 2,
        voice_states: [],
        members: [Member {
            user: bot_user(),
            nick: (),
            avatar: (),
            roles: [],
            joined_at: GUILD_TIMESTAMP,
            premium_since: (),
            deaf: false,
            mute: false,
            flags: 0,
            pending: false,
            communication_disabled_until: (),
        }],
        channels: [channel_of(channel, guild)],
        threads: [],
        presences: [],
        stage_instances: [],
        guild_scheduled_events: [],
        soundboard_sounds: [],
    })
}

fn channel_of<'a>(channel: &'a Json, guild: &'a Json) -> Channel<'a> {
    Channel {
        id: channel,
        r#type: 0,
        guild_id: guild,
        name: "general",
        position: 0,
        permission_overwrites: [],
        topic: (),
        nsfw: false,
        last_message_id: (),
        rate_limit_per_user: 0,
        parent_id: (),
        flags: 0,
    }
}

#[derive(Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "the keys are Discord's")]
struct GuildCreate<'a> {
    id: &'a Json,
    name: &'static str,
    icon: (),
    splash: (),
    discovery_splash: (),
    owner_id: Digits,
    afk_channel_id: (),
    afk_timeout: u32,
    verification_level: u8,
    default_message_notifications: u8,
    explicit_content_filter: u8,
    roles: [Role<'a>; 1],
    emojis: Empty,
    stickers: Empty,
    features: Empty,
    mfa_level: u8,
    application_id: (),
    system_channel_id: (),
    system_channel_flags: u32,
    rules_channel_id: (),
    vanity_url_code: (),
    description: (),
    banner: (),
    premium_tier: u8,
    premium_subscription_count: u32,
    preferred_locale: &'static str,
    public_updates_channel_id: (),
    nsfw: bool,
    nsfw_level: u8,
    premium_progress_bar_enabled: bool,
    safety_alerts_channel_id: (),
    joined_at: &'static str,
    large: bool,
    unavailable: bool,
    member_count: u32,
    voice_states: Empty,
    members: [Member; 1],
    channels: [Channel<'a>; 1],
    threads: Empty,
    presences: Empty,
    stage_instances: Empty,
    guild_scheduled_events: Empty,
    soundboard_sounds: Empty,
}

#[derive(Serialize)]
struct Role<'a> {
    id: &'a Json,
    name: &'static str,
    color: u32,
    colors: RoleColors,
    hoist: bool,
    icon: (),
    unicode_emoji: (),
    position: u32,
    permissions: &'static str,
    managed: bool,
    mentionable: bool,
    flags: u32,
}

#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the keys are Discord's")]
struct RoleColors {
    primary_color: u32,
    secondary_color: (),
    tertiary_color: (),
}

#[derive(Serialize)]
struct Member {
    user: BotUser,
    nick: (),
    avatar: (),
    roles: Empty,
    joined_at: &'static str,
    premium_since: (),
    deaf: bool,
    mute: bool,
    flags: u32,
    pending: bool,
    communication_disabled_until: (),
}

#[derive(Serialize)]
struct Channel<'a> {
    id: &'a Json,
    r#type: u8,
    guild_id: &'a Json,
    name: &'static str,
    position: u32,
    permission_overwrites: Empty,
    topic: (),
    nsfw: bool,
    last_message_id: (),
    rate_limit_per_user: u32,
    parent_id: (),
    flags: u32,
}

/// A place's message without what differs from one to the next: its id and its content. Writing all of a message anew would
/// be a sixth of the cost of a long run.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Template {
    /// Up to the id's digits.
    head: &'static str,
    /// From there to the content's.
    middle: String,
    /// The rest.
    tail: String,
}

impl Template {
    fn of(guild: Digits, channel: Digits) -> Self {
        #[derive(Serialize)]
        struct Middle {
            channel_id: Digits,
            author: Author,
            content: &'static str,
        }
        #[derive(Serialize)]
        struct Tail {
            timestamp: &'static str,
            edited_timestamp: (),
            tts: bool,
            mention_everyone: bool,
            mentions: Empty,
            mention_roles: Empty,
            attachments: Empty,
            embeds: Empty,
            pinned: bool,
            r#type: u8,
            guild_id: Digits,
            member: PartialMember,
            channel_type: u8,
        }
        #[derive(Serialize)]
        struct PartialMember {
            roles: Empty,
            joined_at: &'static str,
            deaf: bool,
            mute: bool,
            flags: u32,
        }
        let middle = Json::of(&Middle {
            channel_id: channel,
            author: author(),
            content: "",
        });
        let tail = Json::of(&Tail {
            timestamp: MESSAGE_TIMESTAMP,
            edited_timestamp: (),
            tts: false,
            mention_everyone: false,
            mentions: [],
            mention_roles: [],
            attachments: [],
            embeds: [],
            pinned: false,
            r#type: 0,
            guild_id: guild,
            member: PartialMember {
                roles: [],
                joined_at: GUILD_TIMESTAMP,
                deaf: false,
                mute: false,
                flags: 0,
            },
            channel_type: 0,
        });
        // Both are whole objects; in the message they are one, and the digits of the content stand in its quotes.
        let (middle, tail) = (middle.get(), tail.get());
        let middle = middle.strip_prefix('{').unwrap_or(middle);
        let middle = middle.strip_suffix(r#""}"#).unwrap_or(middle);
        let tail = tail.strip_prefix('{').unwrap_or(tail);
        Self {
            head: r#"{"id":""#,
            middle: format!(r#"",{middle}"#),
            tail: format!(r#"",{tail}"#),
        }
    }
}

/// Writes the numbered messages, counted over the whole gateway.
#[derive(Debug, Default)]
pub struct Messages {
    written: u64,
    /// The text of the last one.
    text: String,
}

impl Messages {
    /// The next message's payload; its number, counted from 1, is its content and the lowest part of its id.
    pub fn next(&mut self, place: &Place) -> Json {
        self.written += 1;
        let Template { head, middle, tail } = &place.template;
        let id = Digits::from((MESSAGE_TIME << 22) + self.written);
        let content = Digits::from(self.written);
        self.text.clear();
        for part in [head, id.as_str(), middle, content.as_str(), tail] {
            self.text.push_str(part);
        }
        Json::trusted(&self.text)
    }
}

/// A payload without anything in it.
pub fn nothing() -> Json {
    Json::trusted("{}")
}

/// The same object with a field that nobody knows and that holds as many bytes; what is no object stays as it is.
pub fn padded(d: &Json, bytes: usize) -> Json {
    let text = d.get().trim_end();
    let Some(members) = text
        .strip_prefix('{')
        .and_then(|text| text.strip_suffix('}'))
    else {
        return d.clone();
    };
    let comma = if members.trim().is_empty() { "" } else { "," };
    let padding = "0".repeat(bytes);
    Json::trusted(&format!("{{{members}{comma}\"_padding\":\"{padding}\"}}"))
}

/// The same object with such a field, so long that the object has about as many bytes; none where it has them already.
pub fn filled(d: &Json, bytes: usize) -> Json {
    /// What the field has besides its bytes.
    const AROUND: usize = ",\"_padding\":\"\"".len();
    match bytes.checked_sub(d.get().len() + AROUND) {
        Some(missing) => padded(d, missing),
        None => d.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_strings() {
        let written = |number: u64| Json::of(&Digits::from(number)).get().to_owned();
        assert_eq!(written(0), r#""0""#);
        assert_eq!(written(1_468_006_400), r#""1468006400""#);
        assert_eq!(written(u64::MAX), r#""18446744073709551615""#);
    }

    #[test]
    fn padding_is_a_field_of_its_own() {
        let with = |text: &str, bytes| {
            let d = Json::parse(text).unwrap();
            padded(&d, bytes).get().to_owned()
        };
        assert_eq!(with(r#"{"a":1}"#, 3), r#"{"a":1,"_padding":"000"}"#);
        assert_eq!(with("{}", 1), r#"{"_padding":"0"}"#);
        assert_eq!(with("null", 9), "null");
        let message = Messages::default().next(&Place::of(None));
        assert_eq!(filled(&message, 3000).get().len(), 3000);
        assert_eq!(filled(&message, 10), message);
    }

    #[test]
    fn a_guild_belongs_to_its_shard_whatever_their_number() {
        for count in [1, 2, 3, 7, 16, 1000, u32::MAX] {
            for id in [0, count / 2, count - 1] {
                let place = Place::of(Some(Shard { id, count }));
                let guild: u64 = place.guild.read::<&str>().unwrap().parse().unwrap();
                assert_eq!((guild >> 22) % u64::from(count), u64::from(id));
            }
        }
    }

    #[test]
    fn ready_says_what_clients_look_for() {
        let shard = Shard { id: 1, count: 2 };
        let place = Place::of(Some(shard));
        assert_eq!(
            ready("abc", "ws://resume.test", Some(shard), &place).get(),
            concat!(
                r#"{"v":10,"user":{"id":"1216348160000000000","username":"gwtool","discriminator":"0","#,
                r#""global_name":null,"avatar":null,"bot":true,"verified":true,"mfa_enabled":false,"#,
                r#""flags":0,"email":null},"guilds":[{"id":"1258291200004194304","unavailable":true}],"#,
                r#""session_id":"abc","resume_gateway_url":"ws://resume.test","shard":[1,2],"#,
                r#""application":{"id":"1216348160000000000","flags":0},"session_type":"normal","#,
                r#""private_channels":[],"presences":[],"relationships":[],"guild_join_requests":[],"#,
                r#""geo_ordered_rtc_regions":[],"_trace":["gwtool"]}"#
            )
        );
        let unsharded = ready("abc", "ws://resume.test", None, &Place::of(None));
        assert!(!unsharded.get().contains("shard\""));
    }

    #[test]
    fn a_message_carries_its_number_in_content_and_id() {
        let mut messages = Messages::default();
        let place = Place::of(None);
        messages.next(&place);
        assert_eq!(
            messages.next(&place).get(),
            concat!(
                r#"{"id":"1468006400000000002","channel_id":"1258291200000000001","#,
                r#""author":{"id":"1216348160004194304","username":"traffic","discriminator":"0","#,
                r#""global_name":null,"avatar":null},"content":"2","#,
                r#""timestamp":"2026-02-02T22:13:20.000000+00:00","edited_timestamp":null,"tts":false,"#,
                r#""mention_everyone":false,"mentions":[],"mention_roles":[],"attachments":[],"embeds":[],"#,
                r#""pinned":false,"type":0,"guild_id":"1258291200000000000","#,
                r#""member":{"roles":[],"joined_at":"2024-07-04T05:20:00.000000+00:00","deaf":false,"#,
                r#""mute":false,"flags":0},"channel_type":0}"#
            )
        );
    }

    #[test]
    fn the_number_of_a_message_is_read_off_its_id_and_off_no_other() {
        let id = |number: u64| (MESSAGE_TIME << 22) + number;
        assert_eq!(number_of(id(2)), Some(2));
        assert_eq!(number_of(id(NUMBER_MAX)), Some(NUMBER_MAX));
        let guild: u64 = Place::of(None)
            .guild
            .read::<&str>()
            .unwrap()
            .parse()
            .unwrap();
        let others = [
            0,
            2,
            BOT,
            AUTHOR,
            guild,
            guild | 1,
            id(0),
            REPLY_TIME << 22,
            u64::MAX,
        ];
        for other in others {
            assert_eq!(number_of(other), None, "{other}");
        }
    }

    #[test]
    fn what_the_bot_writes_comes_back_as_a_message() {
        let nonce = Json::of(&"n");
        let nonce: Box<RawValue> = nonce.read().unwrap();
        let draft = Draft {
            content: "pong \"2\"",
            nonce: Some(&nonce),
            reply_to: Some((MESSAGE_TIME << 22) + 2),
        };
        assert_eq!(
            posted(7, 1_258_291_200_000_000_001, &draft).get(),
            concat!(
                r#"{"id":"1509949440000000007","channel_id":"1258291200000000001","#,
                r#""author":{"id":"1216348160000000000","username":"gwtool","discriminator":"0","#,
                r#""global_name":null,"avatar":null,"bot":true},"content":"pong \"2\"","#,
                r#""timestamp":"2026-05-29T16:00:00.000000+00:00","edited_timestamp":null,"tts":false,"#,
                r#""mention_everyone":false,"mentions":[],"mention_roles":[],"attachments":[],"embeds":[],"#,
                r#""components":[],"pinned":false,"type":19,"flags":0,"nonce":"n","#,
                r#""message_reference":{"type":0,"message_id":"1468006400000000002","channel_id":"1258291200000000001"}}"#
            )
        );
        let plain = Draft {
            content: "",
            nonce: None,
            reply_to: None,
        };
        assert!(
            posted(8, 1, &plain)
                .get()
                .ends_with(r#""type":0,"flags":0}"#)
        );
    }

    #[test]
    fn guilds_and_channels_lead_to_each_other() {
        let id = 1_258_291_200_000_000_000;
        assert_eq!(guild(id), guild_create(&Place::of(None)));
        let channel: serde_json::Value = channel(id | 1).read().unwrap();
        let guild: serde_json::Value = guild(id).read().unwrap();
        assert_eq!(channel, guild["channels"][0]);
    }

    #[test]
    fn a_guild_has_every_key_that_the_strictest_client_wants() {
        let guild = guild_create(&Place::of(None));
        let guild: serde_json::Map<String, serde_json::Value> = guild.read().unwrap();
        let wanted = "id name icon splash discovery_splash owner_id afk_channel_id afk_timeout verification_level \
            default_message_notifications explicit_content_filter roles emojis stickers features mfa_level application_id \
            system_channel_id system_channel_flags rules_channel_id vanity_url_code description banner premium_tier \
            preferred_locale public_updates_channel_id nsfw_level premium_progress_bar_enabled safety_alerts_channel_id \
            joined_at large unavailable member_count voice_states members channels threads presences stage_instances \
            guild_scheduled_events soundboard_sounds";
        let missing: Vec<&str> = wanted
            .split_whitespace()
            .filter(|key| !guild.contains_key(*key))
            .collect();
        assert_eq!(missing, Vec::<&str>::new());
        assert_eq!(
            guild["roles"][0]["id"], guild["id"],
            "@everyone has the guild's id"
        );
        assert_eq!(
            guild["roles"][0]["colors"]["primary_color"], 0,
            "twilight-model 0.18 takes no role without it"
        );
        assert_eq!(guild["unavailable"], false);
    }

    #[test]
    fn the_application_has_an_owner() {
        let application: serde_json::Value = application().read().unwrap();
        assert_eq!(
            application["owner"]["username"], "traffic",
            "discord.py does not log in without it"
        );
    }

    #[test]
    fn small_payloads_are_written_as_documented() {
        assert_eq!(
            hello(Duration::from_millis(41_250)).get(),
            r#"{"heartbeat_interval":41250,"_trace":["gwtool"]}"#
        );
        assert_eq!(resumed().get(), r#"{"_trace":["gwtool"]}"#);
        let (guild, nonce) = (Json::of(&"7"), Json::of(&"n"));
        let raw = |json: &Json| -> Box<RawValue> { json.read().unwrap() };
        assert_eq!(
            members_chunk(&raw(&guild), Some(&raw(&nonce))).get(),
            r#"{"guild_id":"7","members":[],"chunk_index":0,"chunk_count":1,"nonce":"n"}"#
        );
    }
}
