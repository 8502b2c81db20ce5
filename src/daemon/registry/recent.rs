//! What the registry remembers of the agents that it stored last.

use std::{collections::HashMap, hash::Hash};

/// A map that forgets what was neither put nor asked for lately: two halves, of which the
/// older is dropped when the newer is full. Holds the last `half` entries for sure.
#[derive(Debug)]
pub struct Recent<K, V> {
    new: HashMap<K, V>,
    old: HashMap<K, V>,
    half: usize,
}

impl<K: Hash + Eq + Clone, V: Clone> Recent<K, V> {
    /// One that remembers at least `half` entries, and at most twice as many.
    #[must_use]
    pub fn new(half: usize) -> Self {
        Self { new: HashMap::new(), old: HashMap::new(), half }
    }

    /// Remembers a value.
    pub fn put(&mut self, key: K, value: V) {
        if self.new.len() >= self.half {
            std::mem::swap(&mut self.new, &mut self.old);
            self.new.clear();
        }
        self.new.insert(key, value);
    }

    /// The value, if it is remembered.
    pub fn get(&mut self, key: &K) -> Option<V> {
        if let Some(value) = self.new.get(key) {
            return Some(value.clone());
        }
        let value = self.old.get(key)?.clone();
        // Parents of many children stay.
        self.put(key.clone(), value.clone());
        Some(value)
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.new.clear();
        self.old.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_are_remembered_and_the_others_bounded() {
        let mut recent = Recent::new(10);
        for key in 0..1000 {
            recent.put(key, key * 2);
            for back in 0..10.min(key + 1) {
                assert_eq!(recent.get(&(key - back)), Some((key - back) * 2));
            }
            assert_eq!(recent.get(&(key - 20)), None);
        }
    }
}
