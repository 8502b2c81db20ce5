//! Signatures: Ed25519 (RFC 8032) over DSSE's pre-authentication encoding, and which keys
//! are trusted.

use std::{collections::BTreeMap, fmt, str::FromStr};

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, ParsedPublicKey};

use crate::domain::digest::{BadDigest, Digest};

use super::{
    digest::sha256,
    error::{Error, Result},
};

/// The bytes of a signature.
pub const SIGNATURE: usize = 64;

/// What a signature is for: part of what is signed, so that one made for a journal entry
/// never passes for another kind of statement by the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The header of a journal entry.
    Entry,
    /// The statement of an export.
    Export,
    /// The header of a message, and the digest of its payload.
    Message,
}

impl Purpose {
    /// The payload type that is signed along.
    #[must_use]
    pub fn payload_type(self) -> &'static str {
        match self {
            Self::Entry => "application/vnd.darwin.journal-entry.v1+dag-cbor",
            Self::Export => "application/vnd.darwin.export.v1+dag-cbor",
            // Without a version: that stands in the header, and one that is too new can be named.
            Self::Message => "application/vnd.darwin.envelope+protobuf",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Entry => "journal entry",
            Self::Export => "export's statement",
            Self::Message => "message",
        }
    }
}

/// DSSE's pre-authentication encoding (version 1) of a payload and its type.
fn pae(purpose: Purpose, payload: &[u8]) -> Vec<u8> {
    let kind = purpose.payload_type();
    let mut out = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
    out.extend(payload);
    out
}

/// The fingerprint of a signing key: the SHA-256 digest of its 32 public bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 32]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Digest(self.0).fmt(f)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for KeyId {
    type Err = BadDigest;
    fn from_str(text: &str) -> std::result::Result<Self, BadDigest> {
        text.parse().map(|Digest(bytes)| Self(bytes))
    }
}

/// The public half of a signing key, as RFC 8032 encodes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    /// Its fingerprint.
    #[must_use]
    pub fn id(&self) -> KeyId {
        KeyId(sha256(&self.0).0)
    }
}

/// Signs for one key.
pub struct Signer {
    pair: Ed25519KeyPair,
    public: PublicKey,
    id: KeyId,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Signer").field(&self.id).finish()
    }
}

impl Signer {
    /// The key that grows from these 32 random bytes.
    ///
    /// # Errors
    /// If the library refuses them, which it does not.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self> {
        Ed25519KeyPair::from_seed_unchecked(seed).map_or(Err(refused()), Self::new)
    }

    /// The key in this PKCS #8 document (RFC 8410).
    ///
    /// # Errors
    /// If it holds no Ed25519 key.
    pub fn from_pkcs8(document: &[u8]) -> Result<Self> {
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(document).map_or(Err(refused()), Self::new)
    }

    fn new(pair: Ed25519KeyPair) -> Result<Self> {
        let public = pair.public_key().as_ref().try_into().map_err(|_| refused())?;
        let public = PublicKey(public);
        Ok(Self { pair, id: public.id(), public })
    }

    /// Its fingerprint.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Its public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// Signs `payload` for `purpose`.
    #[must_use]
    pub fn sign(&self, purpose: Purpose, payload: &[u8]) -> [u8; SIGNATURE] {
        let mut out = [0; SIGNATURE];
        out.copy_from_slice(self.pair.sign(&pae(purpose, payload)).as_ref());
        out
    }
}

fn refused() -> Error {
    Error::BadKey { what: "signing key", why: "not an Ed25519 key" }
}

/// Checks the signatures of one key.
#[derive(Debug, Clone)]
pub struct Verifier {
    id: KeyId,
    key: ParsedPublicKey,
}

impl Verifier {
    /// Of that key.
    ///
    /// # Errors
    /// If it is not a public key.
    pub fn new(key: PublicKey) -> Result<Self> {
        let parsed = ParsedPublicKey::new(&ED25519, key.0).map_err(|_| refused())?;
        Ok(Self { id: key.id(), key: parsed })
    }

    /// Its fingerprint.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Checks that the key signed `payload` for `purpose`.
    ///
    /// # Errors
    /// If it did not.
    pub fn check(
        &self,
        purpose: Purpose,
        payload: &[u8],
        signature: &[u8; SIGNATURE],
    ) -> Result<()> {
        let signed = self.key.verify_sig(&pae(purpose, payload), signature);
        signed.map_err(|_| Error::Signature { what: purpose.name() })
    }
}

/// The keys that are trusted: those whose fingerprint was pinned, and no other.
#[derive(Debug, Clone, Default)]
pub struct KeyRing(BTreeMap<KeyId, Option<Verifier>>);

impl KeyRing {
    /// One that trusts nobody.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts the key with this fingerprint, once [`KeyRing::learn`] has seen it.
    pub fn pin(&mut self, id: KeyId) {
        self.0.entry(id).or_default();
    }

    /// Trusts `key`.
    ///
    /// # Errors
    /// If it is not a public key.
    pub fn trust(&mut self, key: PublicKey) -> Result<()> {
        self.pin(key.id());
        self.learn(key)
    }

    /// Notes a public key that was found somewhere, if its fingerprint is pinned.
    ///
    /// # Errors
    /// If it is pinned and not a public key.
    pub fn learn(&mut self, key: PublicKey) -> Result<()> {
        if let Some(slot @ None) = self.0.get_mut(&key.id()) {
            *slot = Some(Verifier::new(key)?);
        }
        Ok(())
    }

    /// Whether the key with this fingerprint is trusted.
    #[must_use]
    pub fn trusts(&self, id: &KeyId) -> bool {
        self.0.contains_key(id)
    }

    /// The fingerprints that are trusted.
    pub fn ids(&self) -> impl Iterator<Item = &KeyId> {
        self.0.keys()
    }

    /// Checks that the trusted key `signer` signed `payload` for `purpose`.
    ///
    /// # Errors
    /// If it is not trusted, is not known, or did not.
    pub fn check(
        &self,
        purpose: Purpose,
        signer: &KeyId,
        payload: &[u8],
        signature: &[u8; SIGNATURE],
    ) -> Result<()> {
        let what = purpose.name();
        let known = self.0.get(signer);
        let known = known.ok_or_else(|| Error::Untrusted { what, signer: signer.to_string() })?;
        let why = "its fingerprint is pinned, but the key itself was not found";
        let key = known.as_ref().ok_or(Error::BadKey { what: "signing key", why })?;
        key.check(purpose, payload, signature)
    }
}
