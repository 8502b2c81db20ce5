//! The keys, and what is done with them in one step on the server.
//!
//! Every key has the form `darwin:{SPACE:NAME}:KIND`, so that all keys of a name are in one slot
//! and no kind is taken for another. No request needs more than one key: a cluster does not answer
//! one with several while it moves their slot. Every key ends by itself: sets, counters and locks a
//! week after they were last written, and a lock not before an hour after its holder's time; a
//! bucket an hour after it would be full.

use std::sync::LazyLock;

use redis::Script;

use super::servers::Verb;

/// How long sets, counters and locks are kept after they were last written, in milliseconds.
pub const KEPT_MS: u64 = 7 * 24 * 3600 * 1000;
/// How much longer than needed other keys are kept: times are the callers', whose clocks may differ
/// from the server's and from one another.
pub const SPARE_MS: u64 = 3600 * 1000;
/// The longest that a key is kept; Redis takes no more.
pub const LONGEST_MS: u64 = 1 << 52;

/// What a key is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// A sorted set.
    Set,
    /// A counter.
    Counter,
    /// A lock, with its last fence when it is free.
    Lock,
    /// A bucket.
    Bucket,
}

/// The key of a name in a space.
#[must_use]
pub fn key(space: &str, name: &str, of: Of) -> Vec<u8> {
    let kind = match of {
        Of::Set => "set",
        Of::Counter => "count",
        Of::Lock => "lock",
        Of::Bucket => "bucket",
    };
    format!("darwin:{{{space}:{name}}}:{kind}").into_bytes()
}

/// The channel of a space's signals.
#[must_use]
pub fn channel(space: &str) -> Vec<u8> {
    format!("darwin:{{{space}}}:signals").into_bytes()
}

macro_rules! script {
    ($name:ident, $doc:literal, $text:literal) => {
        #[doc = $doc]
        pub const $name: Verb = {
            static SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new($text));
            Verb::Run(&SCRIPT, $text)
        };
    };
}

script!(
    PUT,
    "Puts a member into a set: key; score, member, how long the set is kept.",
    "redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1"
);

// Lua has no integers of 64 bits: numbers stay text. What would overflow stays at the end.
script!(
    COUNT,
    "Adds to a counter: key; by, how long it is kept, the end in that direction. Its new value.",
    "local done = redis.pcall('INCRBY', KEYS[1], ARGV[1])
if type(done) == 'table' and done.err then
  if not string.find(done.err, 'overflow', 1, true) then return done end
  redis.call('SET', KEYS[1], ARGV[3])
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('GET', KEYS[1])"
);

// A lock is whether it is held, its holder (16 bytes), its end (20 digits, which compare as text),
// its fence. Where the last fence is not known any more, the caller's time makes the next one higher
// than it was.
script!(
    LOCK,
    "Takes a lock: key; holder, now, end, how long it is kept, the least fence. Its fence, or \
     nothing if another has it.",
    "local found = redis.call('GET', KEYS[1])
local fence
if found and string.sub(found, 1, 1) == '1' and string.sub(found, 18, 37) > ARGV[2] then
  if string.sub(found, 2, 17) ~= ARGV[1] then return false end
  fence = string.sub(found, 38)
else
  local last = found and tonumber(string.sub(found, 38)) or 0
  fence = string.format('%.0f', math.max(last + 1, tonumber(ARGV[5])))
end
redis.call('SET', KEYS[1], '1' .. ARGV[1] .. ARGV[3] .. fence, 'PX', ARGV[4])
return fence"
);

script!(
    UNLOCK,
    "Gives a lock back, and keeps its fence: key; holder, or nothing for whoever it is. Whether it \
     was held.",
    "local found = redis.call('GET', KEYS[1])
if not found or string.sub(found, 1, 1) ~= '1' then return 0 end
if ARGV[1] ~= '' and string.sub(found, 2, 17) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], '0' .. string.sub(found, 2), 'KEEPTTL')
return 1"
);

// A bucket is its tokens and when that was so, as text.
script!(
    TAKE,
    "Takes tokens: bucket; capacity, tokens a second, tokens wanted, now, the spare time, the \
     longest time. Nothing if they were there, else what is there.",
    "local capacity, speed, wanted, now = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local tokens, at = capacity, now
local found = redis.call('GET', KEYS[1])
if found then
  local space = string.find(found, ' ', 1, true)
  tokens, at = tonumber(string.sub(found, 1, space - 1)), tonumber(string.sub(found, space + 1))
end
tokens = math.min(tokens + math.max(now - at, 0) / 1000 * speed, capacity)
at = math.max(at, now)
local taken = wanted <= tokens
if taken then tokens = tokens - wanted end
local kept = (capacity - tokens) / speed * 1000 + tonumber(ARGV[5])
if not (kept >= 1 and kept <= tonumber(ARGV[6])) then kept = tonumber(ARGV[6]) end
local left = string.format('%.17g', tokens)
redis.call('SET', KEYS[1], left .. ' ' .. string.format('%.0f', at), 'PX', string.format('%.0f', math.ceil(kept)))
if taken then return false end
return left"
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::store::hot::redis::slots::slot;

    #[test]
    fn all_keys_of_a_name_are_in_one_slot_and_no_two_are_the_same() {
        let all = [Of::Set, Of::Counter, Of::Lock, Of::Bucket];
        for name in ["run", "", "a}b", "{}", "}"] {
            let keys = all.map(|of| key("lab", name, of));
            assert!(keys.iter().all(|key| slot(key) == slot(&keys[0])), "{name}");
        }
        let mut keys: Vec<_> =
            ["a", "a}:set", "b"].iter().flat_map(|name| all.map(|of| key("x", name, of))).collect();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), 12);
    }
}
