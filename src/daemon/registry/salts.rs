//! Salts of sealed blocks.

/// Random bytes that are drawn at once.
const POOL: usize = 4096;

/// Random bytes, drawn in larger portions.
pub struct Salts {
    pool: Box<[u8; POOL]>,
    used: usize,
    failed: bool,
}

impl Salts {
    /// The next 32 of them, good unless [`Salts::failed`].
    pub fn next(&mut self) -> [u8; 32] {
        if self.used + 32 > POOL {
            self.failed |= aws_lc_rs::rand::fill(&mut self.pool[..]).is_err();
            self.used = 0;
        }
        let mut salt = [0; 32];
        salt.copy_from_slice(&self.pool[self.used..self.used + 32]);
        self.pool[self.used..self.used + 32].fill(0);
        self.used += 32;
        salt
    }

    /// Whether the system had no random bytes at some time.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.failed
    }
}

impl Default for Salts {
    fn default() -> Self {
        Self { pool: Box::new([0; POOL]), used: POOL, failed: false }
    }
}
