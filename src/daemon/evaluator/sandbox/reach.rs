//! Landlock, where the kernel has it: bounds of its own on files, devices, TCP, abstract
//! sockets and signals. Around a full sandbox it is one more fence, which stands should a mount
//! or a namespace fail; where namespaces are missing, it alone keeps the user's files from code
//! that runs as that user.

use std::{
    io,
    path::{Path, PathBuf},
};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, PathBeneath, PathFd, RestrictSelf,
    RestrictSelfAttr, Ruleset, RulesetAttr, RulesetCreatedAttr, Scope,
};
use serde_json::{Value as Json, json};

/// The newest version whose rights were tried with ordinary programs.
const NEWEST: ABI = ABI::V7;
/// Older ones let nobody move a file from one directory to another.
const OLDEST: ABI = ABI::V2;

/// What may be reached at most, beside a directory of one's own.
pub struct Reach {
    abi: ABI,
    rules: Vec<(PathBuf, BitFlags<AccessFs>)>,
}

impl Reach {
    /// Reading and executing `readable`, reading and writing `devices`, as far as they are
    /// there. `None` where the kernel has no Landlock.
    #[must_use]
    pub fn new(readable: &[PathBuf], devices: &[PathBuf]) -> Option<Self> {
        let abi = abi()?;
        let device = AccessFs::ReadFile | AccessFs::WriteFile;
        let list = readable.iter().map(|path| (path, AccessFs::from_read(abi)));
        let list = list.chain(devices.iter().map(|path| (path, device)));
        let rules = list.filter_map(|(path, rights)| {
            let meta = path.metadata().ok()?;
            let most = if meta.is_dir() { rights } else { rights & AccessFs::from_file(abi) };
            Some((path.clone(), most))
        });
        Some(Self { abi, rules: rules.collect() })
    }

    /// Bounds this process to it for good, less what is `hidden`, and to `own`, where it may do
    /// anything.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn enter(&self, own: &Path, hidden: &[&Path]) -> io::Result<()> {
        let own = (own.to_owned(), AccessFs::from_all(self.abi));
        let shown = self.rules.iter().filter(|(path, _)| !hidden.contains(&path.as_path()));
        let rules = shown.chain([&own]).map(|(path, rights)| {
            let path = PathFd::new(path).map_err(io::Error::other)?;
            Ok::<_, io::Error>(PathBeneath::new(path, *rights))
        });
        let rules: Vec<_> = rules.collect::<io::Result<_>>()?;
        let bounds = Ruleset::default()
            .handle_access(AccessFs::from_all(NEWEST))
            .and_then(|bounds| bounds.handle_access(AccessNet::from_all(NEWEST)))
            .and_then(|bounds| bounds.scope(Scope::from_all(NEWEST)));
        bounds
            .and_then(Ruleset::create)
            .and_then(|made| made.add_rules(rules.into_iter().map(Ok::<_, landlock::RulesetError>)))
            .and_then(landlock::RulesetCreated::restrict_self)
            .map_err(io::Error::other)?;
        Ok(())
    }

    /// The same for a harness that bounds its candidates by itself: what is bounded, the
    /// rules, and the rights in a candidate's own directory, as the kernel's numbers.
    #[must_use]
    pub fn numbers(&self) -> Json {
        let all = AccessFs::from_all(self.abi).bits();
        let (net, scope) = (AccessNet::from_all(self.abi).bits(), Scope::from_all(self.abi).bits());
        let rules: Vec<_> =
            self.rules.iter().map(|(path, rights)| json!([path, rights.bits()])).collect();
        json!({ "bounded": [all, net, scope], "rules": rules, "own": all })
    }
}

/// Has what those below this process are refused not logged: that could be endless.
///
/// It is not bounded itself: bounds on files would keep it from mounting for its candidates, and
/// any others would, by a rule of the kernel's, keep all below it from moving a file from one
/// directory to another, whatever their own bounds say.
///
/// # Errors
/// If the kernel refuses.
pub fn be_quiet() -> io::Result<()> {
    if abi().is_some() {
        let quiet = RestrictSelf::default().log_subdomains(false).and_then(RestrictSelf::apply);
        quiet.map_err(io::Error::other)?;
    }
    Ok(())
}

/// The version of Landlock that is used here, if there is one.
#[must_use]
pub fn version() -> Option<String> {
    abi().map(|abi| abi.to_string())
}

fn abi() -> Option<ABI> {
    // Asks for nothing, and so only tells what there is.
    let found = RestrictSelf::default().no_new_privs(false).apply().ok()?.landlock;
    let LandlockStatus::Available { effective_abi, .. } = found else { return None };
    (effective_abi >= OLDEST).then(|| effective_abi.min(NEWEST))
}
