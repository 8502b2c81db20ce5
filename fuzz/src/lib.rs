//! What must hold of each decoder, whatever bytes it is given: one function each, which panics if
//! it doesn't. libFuzzer looks for such bytes (`scripts/fuzz`), and `tests/fuzz.rs` tries the
//! corpus and what is near it.

pub mod durable;
pub mod texts;
pub mod wire;

/// A check of one decoder; it tells whether the bytes were taken.
pub type Check = fn(&[u8]) -> bool;

/// All of them, by the names of their targets and of their folders in `corpus`.
pub const CHECKS: [(&str, Check); 21] = [
    ("car", durable::car),
    ("cases", texts::cases),
    ("certificate", wire::certificate),
    ("config", texts::config),
    ("entry", durable::entry),
    ("envelope", wire::envelope),
    ("export", durable::export),
    ("fault", wire::fault),
    ("frame", texts::frame),
    ("frames", wire::frames),
    ("header", wire::header),
    ("line", wire::line),
    ("openevolve", texts::openevolve),
    ("replay", wire::replay),
    ("requests", wire::requests),
    ("results", texts::results),
    ("rpc", texts::rpc),
    ("sealed", durable::sealed),
    ("snapshot", durable::snapshot),
    ("spec", texts::spec),
    ("suite", texts::suite),
];

/// The first byte, by which a check chooses, and the rest.
fn choice(data: &[u8]) -> (u8, &[u8]) {
    data.split_first().map_or((0, data), |(first, rest)| (*first, rest))
}

/// The same with one bit of it turned: one that follows from `data`.
fn flipped(bytes: &[u8], data: &[u8]) -> Vec<u8> {
    let sum = data.iter().fold(0, |sum, byte| (sum * 31 + usize::from(*byte)) % 1_000_003);
    let mut bytes = bytes.to_vec();
    let bit = sum % (8 * bytes.len());
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes
}
