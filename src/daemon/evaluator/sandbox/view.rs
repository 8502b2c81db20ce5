//! What a sandbox sees of the file system: the system and the interpreter read-only, the
//! suite read-only, a little `/dev` and `/etc`, and one small tmpfs to write in.

use std::{
    fs, io,
    os::{
        fd::{AsFd, AsRawFd as _, OwnedFd},
        unix::fs::PermissionsExt as _,
    },
    path::{Component, Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, CWD, Mode, OFlags},
    mount::{
        MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount,
        mount_bind, mount_change, mount_remount, move_mount, open_tree, unmount,
    },
};

/// Where the suite lies inside.
pub const SUITE: &str = "/suite";
/// Where our own files lie inside.
pub const OURS: &str = "/run/darwin";
/// What a scorer starts candidates with, among our own files.
pub const RUN: &str = "darwin-run";
/// The socket by which candidates ask models, where they may.
pub const MODELS: &str = "/run/model.sock";
/// The environment's variable that names it.
pub const MODELS_VARIABLE: &str = "DARWIN_MODEL_SOCKET";
/// The one place to write in.
pub const TMP: &str = "/tmp";
/// Files that one candidate may make.
pub const INODES: u32 = 65_536;

/// Where the new root is put together: any directory that every system has.
const BASE: &str = "/tmp";
/// The system's own directories.
const SYSTEM: [&str; 7] =
    ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/alternatives"];
const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];
/// What there is of `/etc` beside.
const SETTINGS: [&str; 5] = ["ld.so.cache", "passwd", "group", "nsswitch.conf", "hosts"];
/// The linker's cache is larger than this on no sane system.
const MAX_CACHE: u64 = 4 << 20;

const PASSWD: &str = "agent:x:1000:1000::/tmp:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n";
const GROUP: &str = "agent:x:1000:\nnogroup:x:65534:\n";

/// The parts of the old file system that the new one is made of, opened while the process
/// still is the user that may reach them.
pub struct Parts {
    trees: Vec<(PathBuf, OwnedFd)>,
    links: Vec<(PathBuf, PathBuf)>,
    cache: Vec<u8>,
}

impl Parts {
    /// Opens them: the system, `binds` at their own paths, `suite`, the socket to `models`, the
    /// devices, and with `runs` this program, which is what starts candidates for a scorer.
    ///
    /// # Errors
    /// If one is missing or the kernel refuses.
    pub fn open(
        binds: &[PathBuf],
        suite: &Path,
        models: Option<&Path>,
        runs: bool,
    ) -> io::Result<Self> {
        // Nothing that is mounted here may show outside.
        mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE)?;
        let (mut trees, mut links) = (Vec::new(), Vec::new());
        for path in system() {
            match fs::symlink_metadata(&path) {
                Ok(meta) if meta.is_symlink() => {
                    let target = fs::read_link(&path)?;
                    links.push((path, target));
                }
                Ok(_) => {
                    let tree = read_only(&path, false)?;
                    trees.push((path, tree));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        for path in binds {
            trees.push((path.clone(), read_only(path, false)?));
        }
        trees.push((PathBuf::from(SUITE), read_only(suite, false)?));
        if let Some(socket) = models {
            // Who connects writes to the socket, not to where it is mounted.
            trees.push((PathBuf::from(MODELS), read_only(socket, false)?));
        }
        for name in DEVICES {
            let path = Path::new("/dev").join(name);
            trees.push((path.clone(), read_only(&path, true)?));
        }
        if runs {
            let own = std::env::current_exe()?;
            trees.push((Path::new(OURS).join(RUN), read_only(&own, false)?));
        }
        let cache = Path::new("/etc/ld.so.cache");
        let small = fs::metadata(cache).is_ok_and(|meta| meta.len() <= MAX_CACHE);
        let cache = if small { fs::read(cache)? } else { Vec::new() };
        Ok(Self { trees, links, cache })
    }

    /// Makes them the root of this process, with `files` of ours beside them. `tmp` are the
    /// mount options of the tmpfs to write in. The new root can be written to until [`seal`].
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn enter(self, files: &[(&str, &[u8])], tmp: &str) -> io::Result<()> {
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        mount("tmpfs", BASE, "tmpfs", flags, Some(c"size=16m,nr_inodes=4096,mode=0755"))?;
        let root = Path::new(BASE);
        for dir in ["proc", "dev", "tmp", "etc", "run/darwin"] {
            fs::create_dir_all(root.join(dir))?;
        }
        for (path, target) in &self.links {
            std::os::unix::fs::symlink(target, inside(root, path))?;
        }
        for (path, target) in [("dev/fd", "/proc/self/fd"), ("dev/shm", TMP)] {
            std::os::unix::fs::symlink(target, root.join(path))?;
        }
        for (name, text) in [
            ("passwd", PASSWD),
            ("group", GROUP),
            ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n"),
            ("hosts", "127.0.0.1 localhost\n"),
        ] {
            fs::write(root.join("etc").join(name), text)?;
        }
        fs::write(root.join("etc/ld.so.cache"), &self.cache)?;
        for (name, content) in files {
            let path = inside(root, Path::new(OURS)).join(name);
            fs::write(&path, content)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o444))?;
        }
        for (path, tree) in &self.trees {
            let target = inside(root, path);
            if rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(tree)?.st_mode).is_dir() {
                fs::create_dir_all(&target)?;
            } else {
                fs::write(&target, "")?;
            }
            move_mount(tree, "", CWD, &target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
        }
        // Where the outer /proc is masked, as in most containers, a new one is refused: then
        // there is none, which hides more, not less.
        let _ = mount_proc(&root.join("proc"));
        mount_tmp(&root.join("tmp"), tmp)?;
        rustix::process::chdir(root)?;
        rustix::process::pivot_root(".", ".")?;
        unmount(".", UnmountFlags::DETACH)?;
        Ok(rustix::process::chdir("/")?)
    }
}

/// The system's own directories, and those where Debian keeps the settings of Java, without
/// which it does not start.
fn system() -> Vec<PathBuf> {
    let etc = fs::read_dir("/etc").into_iter().flatten().flatten();
    let java = etc.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"java-"));
    SYSTEM.iter().map(PathBuf::from).chain(java.map(|entry| entry.path())).collect()
}

/// What may be read of this system where there is no view of our own, and the devices that
/// may be written to: the same as in one, but the real files.
#[must_use]
pub fn without() -> (Vec<PathBuf>, Vec<PathBuf>) {
    let settings = SETTINGS.map(|name| Path::new("/etc").join(name));
    let proc = PathBuf::from("/proc");
    let devices = DEVICES.map(|name| Path::new("/dev").join(name));
    (system().into_iter().chain([proc]).chain(settings).collect(), devices.to_vec())
}

/// Makes the root read-only.
///
/// # Errors
/// If the kernel refuses.
pub fn seal() -> io::Result<()> {
    let root = rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    set_attributes(root.as_fd(), READ_ONLY | NO_SUID | NO_DEVICES, false)
}

/// Makes the directory `agent` read-only.
///
/// # Errors
/// If the kernel refuses.
pub fn protect(agent: &Path) -> io::Result<()> {
    mount_bind(agent, agent)?;
    let flags = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
    Ok(mount_remount(agent, flags, c"")?)
}

/// Takes what is mounted at `at` away.
///
/// # Errors
/// If the kernel refuses.
pub fn remove(at: &Path) -> io::Result<()> {
    Ok(unmount(at, UnmountFlags::DETACH)?)
}

/// Covers what is at `at` with an empty directory.
///
/// # Errors
/// If the kernel refuses.
pub fn cover(at: &Path) -> io::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::RDONLY;
    Ok(mount("tmpfs", at, "tmpfs", flags, Some(c"size=4k,nr_inodes=1,mode=0555"))?)
}

/// The mount options of the tmpfs to write in.
#[must_use]
pub fn tmp_options(disk_mib: u64) -> String {
    format!("size={}m,nr_inodes={INODES},mode=0700", disk_mib.max(1))
}

/// Mounts a fresh tmpfs at `at`.
///
/// # Errors
/// If the kernel refuses.
pub fn mount_tmp(at: &Path, options: &str) -> io::Result<()> {
    let options = std::ffi::CString::new(options).map_err(io::Error::other)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    Ok(mount("tmpfs", at, "tmpfs", flags, Some(options.as_c_str()))?)
}

/// Mounts the process list of this process's own pid namespace at `at`.
///
/// # Errors
/// If the kernel refuses.
pub fn mount_proc(at: &Path) -> io::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    Ok(mount("proc", at, "proc", flags, None)?)
}

/// `path` under `root`, whatever it holds.
fn inside(root: &Path, path: &Path) -> PathBuf {
    let parts = path.components().filter(|part| matches!(part, Component::Normal(_)));
    parts.fold(root.to_owned(), |path, part| path.join(part))
}

/// A copy of the mounts at `path` that nobody can write to.
fn read_only(path: &Path, device: bool) -> io::Result<OwnedFd> {
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE;
    let tree = open_tree(CWD, path, flags).map_err(|error| named(error.into()))?;
    let kind = if device { NO_EXEC } else { READ_ONLY | NO_DEVICES };
    set_attributes(tree.as_fd(), kind | NO_SUID, true).map_err(named)?;
    Ok(tree)
}

// linux/mount.h
const READ_ONLY: u64 = 0x1;
const NO_SUID: u64 = 0x2;
const NO_DEVICES: u64 = 0x4;
const NO_EXEC: u64 = 0x8;

/// `struct mount_attr` of linux/mount.h.
#[repr(C)]
struct Attributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

fn set_attributes(mount: impl AsFd, set: u64, recursive: bool) -> io::Result<()> {
    let attributes = Attributes { set, clear: 0, propagation: 0, user_namespace: 0 };
    let recursive = if recursive { 0x8000 } else { 0 }; // AT_RECURSIVE
    // SAFETY: the path is a C string, the structure has the size that is given, and both
    // outlive the call. rustix does not have this call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_fd().as_raw_fd(),
            c"".as_ptr(),
            AtFlags::EMPTY_PATH.bits() | recursive,
            &raw const attributes,
            size_of::<Attributes>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
