//! The key service: a folder with the master key, the signing key and the keys that are trusted.
//!
//! The master key wraps sessions' keys and nothing else. Both secret files have mode 0400 and
//! are made on first use; they belong in a backup of their own, apart from the stores. Where
//! systemd hands over a secret as a credential, that one is used, and none is made.

use std::{
    fmt,
    fs::{self, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::error::RegistryError;
use crate::{
    code::Code,
    domain::digest::Digest,
    provenance::{
        seal::MasterKey,
        sign::{KeyRing, PublicKey, Signer},
    },
};

const MASTER: &str = "master.key";
const SIGNING: &str = "signing.key";
/// Before these, the names of the credentials.
const CREDENTIAL: &str = "darwin-";
/// Public keys that `verify` trusts, one a line in hexadecimal: this store's own, old ones too.
const TRUSTED: &str = "trusted.keys";
/// The longest list of trusted keys that is read, in bytes.
const MAX_TRUSTED: u64 = 1 << 20;

/// The keys of a store.
#[derive(Debug)]
pub struct Keys {
    /// Wraps sessions' keys.
    pub master: MasterKey,
    /// Signs journal entries.
    pub signer: Signer,
    /// Who is trusted to have signed.
    pub ring: KeyRing,
    /// Where the secret ones come from.
    pub origins: Origins,
}

/// Where the secret keys come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origins {
    /// The master key.
    pub master: Origin,
    /// The signing key.
    pub signing: Origin,
}

/// Where a secret key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A file, made on first use.
    File(PathBuf),
    /// A credential from systemd, in that file.
    Credential(PathBuf),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "the file {}", path.display()),
            Self::Credential(path) => write!(f, "the systemd credential {}", path.display()),
        }
    }
}

/// `N` bytes from the system's generator.
///
/// # Errors
/// If it fails.
pub fn random<const N: usize>() -> Result<[u8; N], RegistryError> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_| RegistryError::Invalid("the system has no random numbers".to_owned()))?;
    Ok(bytes)
}

impl Keys {
    /// The keys in the folder `dir`, but for those that are in the folder `credentials`. With
    /// `new`, those that are missing are made; a store that holds sessions already can't do
    /// without its own.
    ///
    /// # Errors
    /// If one is missing and not to be made, others could read it, or it is damaged.
    pub fn open(dir: &Path, credentials: Option<&Path>, new: bool) -> Result<Self, RegistryError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(|error| RegistryError::key(dir, &error))?;
        let origin = |name: &str| {
            let given = credentials.map(|dir| dir.join(CREDENTIAL.to_owned() + name));
            match given.filter(|path| path.try_exists().unwrap_or(true)) {
                Some(path) => Origin::Credential(path),
                None => Origin::File(dir.join(name)),
            }
        };
        let load = |origin: &Origin| match origin {
            Origin::Credential(path) => credential(path),
            Origin::File(path) => secret(path, new),
        };
        let origins = Origins { master: origin(MASTER), signing: origin(SIGNING) };
        let (master, signing) = (load(&origins.master)?, load(&origins.signing)?);
        let (master, signer) = (MasterKey::new(*master), Signer::from_seed(&signing)?);
        let trusted = dir.join(TRUSTED);
        let mut ring = read_trusted(&trusted)?;
        if !ring.trusts(&signer.id()) {
            append(&trusted, &format!("{}\n", Digest(signer.public().0)))?;
            ring.trust(signer.public())?;
        }
        Ok(Self { master, signer, ring, origins })
    }
}

impl Origins {
    /// That the master key is another one than the store's.
    #[must_use]
    pub fn another_master(&self) -> RegistryError {
        let (Origin::File(path) | Origin::Credential(path)) = &self.master;
        let why = "it is not the master key of this store, of which it could read nothing; put \
                   back the right one from its backup";
        wrong(path, why, Code::Config)
    }
}

fn wrong(path: &Path, why: &str, code: Code) -> RegistryError {
    RegistryError::Key { path: path.to_owned(), why: why.to_owned(), code }
}

/// The 32 bytes in the file `path`.
fn secret(path: &Path, new: bool) -> Result<Zeroizing<[u8; 32]>, RegistryError> {
    let fault = |error: io::Error| RegistryError::key(path, &error);
    let wrong = |why, code| wrong(path, why, code);
    let file = match OpenOptions::new().read(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && new => return make(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let why = "it is missing, and without it what is stored can't be read; restore it \
                       from its backup";
            return Err(wrong(why, Code::Config));
        }
        file => file.map_err(fault)?,
    };
    if file.metadata().map_err(fault)?.mode() & 0o077 != 0 {
        let why = "other users may read it; `chmod 0400` it, and think of who has";
        return Err(wrong(why, Code::Denied));
    }
    read(path, file, "it does not hold 32 bytes; restore it from its backup")
}

/// The 32 bytes of the credential in the file `path`. Who may read it is systemd's to decide:
/// it grants that by an access control list, which shows as a right of the group.
fn credential(path: &Path) -> Result<Zeroizing<[u8; 32]>, RegistryError> {
    let file = fs::File::open(path).map_err(|error| RegistryError::key(path, &error))?;
    read(path, file, "the credential does not hold 32 bytes; encrypt the key's own bytes")
}

/// The 32 bytes of `file`; `short` tells what to do where it has another number of them.
fn read(path: &Path, file: fs::File, short: &str) -> Result<Zeroizing<[u8; 32]>, RegistryError> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(64));
    let read = file.take(64).read_to_end(&mut bytes);
    read.map_err(|error| RegistryError::key(path, &error))?;
    let bytes: &[u8; 32] =
        bytes.as_slice().try_into().map_err(|_| wrong(path, short, Code::Config))?;
    Ok(Zeroizing::new(*bytes))
}

/// Makes the file whole or not at all, and durable before its key is used.
fn make(path: &Path) -> Result<Zeroizing<[u8; 32]>, RegistryError> {
    let fault = |error: io::Error| RegistryError::key(path, &error);
    let bytes = Zeroizing::new(random::<32>()?);
    let fresh = path.with_extension("key.new");
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fault(error)),
        _ => {}
    }
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o400).open(&fresh).map_err(fault)?;
    file.write_all(&bytes[..]).and_then(|()| file.sync_all()).map_err(fault)?;
    fs::rename(&fresh, path).and_then(|()| sync_parent(path)).map_err(fault)?;
    Ok(bytes)
}

fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().map_or_else(|| PathBuf::from("."), Path::to_owned);
    fs::File::open(parent)?.sync_all()
}

fn read_trusted(path: &Path) -> Result<KeyRing, RegistryError> {
    let mut ring = KeyRing::new();
    let mut text = String::new();
    match fs::File::open(path) {
        Ok(file) => file.take(MAX_TRUSTED).read_to_string(&mut text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
    .map_err(|error| RegistryError::key(path, &error))?;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let key: Digest = line.parse().map_err(|_| RegistryError::Key {
            path: path.to_owned(),
            why: format!("“{line}” is no public key: 64 hexadecimal digits are expected"),
            code: Code::Config,
        })?;
        ring.trust(PublicKey(key.0))?;
    }
    Ok(ring)
}

fn append(path: &Path, line: &str) -> Result<(), RegistryError> {
    let write = || {
        let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        file.write_all(line.as_bytes())?;
        file.sync_all()?;
        sync_parent(path)
    };
    write().map_err(|error| RegistryError::key(path, &error))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::code::Code;

    #[test]
    fn keys_are_made_once_and_kept_from_others() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("keys");
        assert_eq!(Keys::open(&home, None, false).unwrap_err().code(), Code::Config);
        let first = Keys::open(&home, None, true).unwrap();
        let again = Keys::open(&home, None, false).unwrap();
        assert_eq!(first.signer.id(), again.signer.id());
        assert_eq!(first.master.id(), again.master.id());
        assert!(again.ring.trusts(&first.signer.id()));
        for name in [MASTER, SIGNING] {
            let path = home.join(name);
            let mode = |bits| fs::set_permissions(&path, fs::Permissions::from_mode(bits)).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o400);
            mode(0o440);
            assert_eq!(Keys::open(&home, None, false).unwrap_err().code(), Code::Denied);
            mode(0o400);
        }
    }

    #[test]
    fn a_damaged_key_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        Keys::open(dir.path(), None, true).unwrap();
        let path = dir.path().join(MASTER);
        fs::remove_file(&path).unwrap();
        fs::write(&path, [1; 31]).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        assert!(Keys::open(dir.path(), None, true).unwrap_err().to_string().contains("32 bytes"));
    }

    #[test]
    fn a_credential_goes_before_a_file_and_is_never_made() {
        let dir = tempfile::tempdir().unwrap();
        let (home, given) = (dir.path().join("keys"), dir.path().join("given"));
        fs::create_dir(&given).unwrap();
        let master = given.join("darwin-master.key");
        fs::write(&master, [7; 32]).unwrap();
        let keys = Keys::open(&home, Some(&given), true).unwrap();
        assert_eq!(keys.master.id(), MasterKey::new([7; 32]).id());
        assert_eq!(keys.origins.master, Origin::Credential(master.clone()));
        assert_eq!(keys.origins.signing, Origin::File(home.join(SIGNING)));
        assert!(!home.join(MASTER).exists() && !given.join("darwin-signing.key").exists());
        fs::write(given.join("darwin-signing.key"), [8; 32]).unwrap();
        let other = Keys::open(&home, Some(&given), false).unwrap();
        assert_ne!(other.signer.id(), keys.signer.id());
        // The signer before is trusted still.
        assert!(other.ring.trusts(&keys.signer.id()) && other.ring.trusts(&other.signer.id()));
        for wrong in [&[1; 31][..], &[1; 33], b""] {
            fs::write(&master, wrong).unwrap();
            let refused = Keys::open(&home, Some(&given), true).unwrap_err();
            assert_eq!(refused.code(), Code::Config);
            assert!(
                refused.to_string().contains("darwin-master.key: the credential does not hold")
            );
        }
    }
}
