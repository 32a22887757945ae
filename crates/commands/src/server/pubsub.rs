//! The specs of commands about channels and messages.

use crate::{Categories, Channels, Flags, Group, Handler, KeyAccess, Keys, SPEC, Spec};

/// Flags of a command that is about messages.
const MESSAGES: Flags = Flags::PUBSUB.or(Flags::LOADING).or(Flags::STALE);
/// Flags of a command that changes what the connection listens to.
const LISTEN: Flags = MESSAGES.or(Flags::NOSCRIPT);
/// Flags of a command that sends a message.
const SEND: Flags = MESSAGES.or(Flags::FAST).or(Flags::MAY_REPLICATE);

const PUBSUB: Spec = Spec {
    group: Group::Pubsub,
    handler: Handler::Server,
    flags: LISTEN,
    ..SPEC
};

pub(super) const COMMANDS: &[Spec] = &[
    Spec {
        name: "psubscribe",
        summary: "Listens for messages published to channels that match one or more patterns.",
        since: "2.0.0",
        complexity: "O(N) where N is the number of patterns to subscribe to.",
        arity: -2,
        channels: Channels::Patterns,
        syntax: "pattern [pattern ...]",
        ..PUBSUB
    },
    Spec {
        name: "publish",
        summary: "Posts a message to a channel.",
        since: "2.0.0",
        complexity: "O(N+M) where N is the number of clients subscribed to the receiving channel and M is the total \
                     number of subscribed patterns (by any client).",
        arity: 3,
        flags: SEND,
        channels: Channels::First,
        syntax: "channel message",
        ..PUBSUB
    },
    Spec {
        name: "pubsub",
        summary: "A container for Pub/Sub commands.",
        since: "2.8.0",
        complexity: "Depends on subcommand.",
        arity: -2,
        flags: Flags::NONE,
        handler: Handler::Container,
        subcommands: ABOUT,
        ..PUBSUB
    },
    Spec {
        name: "punsubscribe",
        summary: "Stops listening to messages published to channels that match one or more patterns.",
        since: "2.0.0",
        complexity: "O(N) where N is the number of patterns to unsubscribe.",
        arity: -1,
        syntax: "[pattern [pattern ...]]",
        ..PUBSUB
    },
    Spec {
        name: "spublish",
        summary: "Posts a message to a shard channel.",
        since: "7.0.0",
        complexity: "O(N) where N is the number of clients subscribed to the receiving shard channel.",
        arity: 3,
        flags: SEND,
        channels: Channels::First,
        keys: Keys::ONE,
        access: KeyAccess::NO_KEYS,
        syntax: "shardchannel message",
        ..PUBSUB
    },
    Spec {
        name: "ssubscribe",
        summary: "Listens for messages published to shard channels.",
        since: "7.0.0",
        complexity: "O(N) where N is the number of shard channels to subscribe to.",
        arity: -2,
        channels: Channels::All,
        keys: Keys::ALL,
        access: KeyAccess::NO_KEYS,
        syntax: "shardchannel [shardchannel ...]",
        ..PUBSUB
    },
    Spec {
        name: "subscribe",
        summary: "Listens for messages published to channels.",
        since: "2.0.0",
        complexity: "O(N) where N is the number of channels to subscribe to.",
        arity: -2,
        channels: Channels::All,
        syntax: "channel [channel ...]",
        ..PUBSUB
    },
    Spec {
        name: "sunsubscribe",
        summary: "Stops listening to messages posted to shard channels.",
        since: "7.0.0",
        complexity: "O(N) where N is the number of shard channels to unsubscribe.",
        arity: -1,
        keys: Keys::ALL,
        access: KeyAccess::NO_KEYS,
        syntax: "[shardchannel [shardchannel ...]]",
        ..PUBSUB
    },
    Spec {
        name: "unsubscribe",
        summary: "Stops listening to messages posted to channels.",
        since: "2.0.0",
        complexity: "O(N) where N is the number of channels to unsubscribe.",
        arity: -1,
        syntax: "[channel [channel ...]]",
        ..PUBSUB
    },
];

const ABOUT: &[Spec] = &[
    Spec {
        name: "channels",
        summary: "Returns the active channels.",
        since: "2.8.0",
        complexity: "O(N) where N is the number of active channels, and assuming constant time pattern matching \
                     (relatively short channels and patterns)",
        arity: -2,
        flags: MESSAGES,
        syntax: "[pattern]",
        ..PUBSUB
    },
    Spec {
        name: "help",
        summary: "Returns helpful text about the subcommands.",
        since: "6.2.0",
        arity: 2,
        flags: Flags::LOADING.or(Flags::STALE),
        categories: Some(Categories::NONE),
        ..PUBSUB
    },
    Spec {
        name: "numpat",
        summary: "Returns the number of unique pattern subscriptions.",
        since: "2.8.0",
        arity: 2,
        flags: MESSAGES,
        ..PUBSUB
    },
    Spec {
        name: "numsub",
        summary: "Returns the number of subscribers of channels.",
        since: "2.8.0",
        complexity: "O(N) for the NUMSUB subcommand, where N is the number of requested channels",
        arity: -2,
        flags: MESSAGES,
        syntax: "[channel [channel ...]]",
        ..PUBSUB
    },
    Spec {
        name: "shardchannels",
        summary: "Returns the active shard channels.",
        since: "7.0.0",
        complexity: "O(N) where N is the number of active shard channels, and assuming constant time pattern matching \
                     (relatively short shard channels).",
        arity: -2,
        flags: MESSAGES,
        syntax: "[pattern]",
        ..PUBSUB
    },
    Spec {
        name: "shardnumsub",
        summary: "Returns the number of subscribers of shard channels.",
        since: "7.0.0",
        complexity: "O(N) for the SHARDNUMSUB subcommand, where N is the number of requested shard channels",
        arity: -2,
        flags: MESSAGES,
        syntax: "[shardchannel [shardchannel ...]]",
        ..PUBSUB
    },
];
