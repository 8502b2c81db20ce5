//! Random numbers: one ChaCha8 stream for each (seed, generation, slot), so that a child
//! depends neither on the number of workers nor on what was drawn for others.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use rand_distr::{Distribution, StandardNormal};

use crate::domain::id::Slot;

/// Where the streams of one run come from.
#[derive(Debug, Clone)]
pub(super) struct Source {
    key: [u8; 32],
}

/// The random numbers for one slot.
#[derive(Debug, Clone)]
pub(super) struct Draw(ChaCha8Rng);

impl Source {
    pub fn new(seed: u64) -> Self {
        let mut key = *b"........darwin evolution draw v1";
        key[..8].copy_from_slice(&seed.to_le_bytes());
        Self { key }
    }

    /// The stream of `slot`: the generation is ChaCha's stream number, the index the upper
    /// half of its block counter, so that no two slots ever share a block.
    pub fn at(&self, slot: Slot) -> Draw {
        let mut rng = ChaCha8Rng::from_seed(self.key);
        rng.set_stream(slot.generation);
        rng.set_word_pos(u128::from(slot.index) << 36);
        Draw(rng)
    }
}

impl Draw {
    /// Uniform in `[0, 1)`, a multiple of 2⁻⁵³.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    pub fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform in `[low, high)`.
    pub fn within(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// True with probability `p`, to 2⁻³².
    pub fn chance(&mut self, p: f64) -> bool {
        f64::from(self.0.next_u32()) < p * 4_294_967_296.0
    }

    /// Uniform in `0..n`; `n` must not be 0. Its bias is below n/2³² (below n/2⁶⁴ for large n).
    #[expect(clippy::cast_possible_truncation, reason = "the product's upper half is below n")]
    pub fn below(&mut self, n: usize) -> usize {
        debug_assert!(n > 0, "a draw from nothing");
        if n <= 1 << 16 {
            ((u64::from(self.0.next_u32()) * n as u64) >> 32) as usize
        } else {
            ((u128::from(self.0.next_u64()) * n as u128) >> 64) as usize
        }
    }

    /// Normal, with mean 0 and standard deviation 1.
    pub fn normal(&mut self) -> f64 {
        StandardNormal.sample(&mut self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(seed: u64, generation: u64, index: u32) -> u64 {
        Source::new(seed).at(Slot { generation, index }).0.next_u64()
    }

    #[test]
    fn each_seed_generation_and_index_has_a_stream_of_its_own() {
        let mut seen = std::collections::HashSet::new();
        for seed in [0, 1, u64::MAX] {
            for generation in [0, 1, 1 << 33] {
                for index in [0, 1, 1 << 20, u32::MAX] {
                    assert!(seen.insert(first(seed, generation, index)));
                    assert_eq!(first(seed, generation, index), first(seed, generation, index));
                }
            }
        }
    }

    /// If this fails, runs can't be resumed across the change: raise the snapshot's version.
    #[test]
    fn the_streams_are_what_they_always_were() {
        // The first number was computed by another implementation of ChaCha8, from its
        // specification (key, block counter 5·2³², stream 3).
        let mut draw = Source::new(42).at(Slot { generation: 3, index: 5 });
        assert_eq!(draw.0.next_u64(), 8_866_482_507_050_284_628);
        assert_eq!(draw.normal(), 0.762_643_018_334_268_3);
    }

    #[test]
    fn uniform_draws_are_uniform() {
        let mut draw = Source::new(7).at(Slot::default());
        let mut counts = [0u32; 10];
        for _ in 0..100_000 {
            counts[draw.below(10)] += 1;
            let unit = draw.unit();
            assert!((0.0..1.0).contains(&unit));
        }
        let chi: f64 = counts.iter().map(|c| (f64::from(*c) - 1e4).powi(2) / 1e4).sum();
        assert!(chi < 27.9, "χ²(9) = {chi}, p < 0.001"); // 99.9th percentile
        let large = 3 << 40;
        assert!((0..1000).map(|_| draw.below(large)).all(|n| n < large));
        let hits = (0..100_000).filter(|_| draw.chance(0.3)).count();
        assert!((29_400..30_600).contains(&hits), "{hits}");
    }
}
