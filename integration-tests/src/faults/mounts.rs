//! File systems on loop devices.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A journaling file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileSystem {
    /// ext4.
    Ext4,
    /// xfs.
    Xfs,
}

impl FileSystem {
    /// As `mount` calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
        }
    }

    /// Makes one in a file full of zeros; `more` are further arguments of mkfs.
    ///
    /// # Panics
    /// When mkfs fails.
    pub fn make(self, image: &Path, more: &[&str]) {
        let mut command = Command::new(format!("mkfs.{}", self.name()));
        match self {
            // Nothing is left to be initialised behind our back.
            Self::Ext4 => {
                command.args(["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard"])
            }
            Self::Xfs => command.args(["-q", "-f", "-K", "-s", "size=4096"]),
        };
        run(command.args(more).arg(image));
    }
}

fn run(command: &mut Command) -> String {
    command.env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin");
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    assert!(output.status.success(), "{command:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

/// Whether this machine lets us mount: as root, with loop devices, FUSE and these programs. Where it does not, the
/// test is skipped loudly, or fails when `RESTANTE_REQUIRE_PEERS=1`.
///
/// # Panics
/// When it is missing and required.
#[must_use]
pub fn may_mount(test: &str, systems: &[FileSystem]) -> bool {
    let mut missing = Vec::new();
    if !nix::unistd::geteuid().is_root() {
        missing.push("root".to_owned());
    }
    let devices = ["/dev/fuse", "/dev/loop-control"].map(PathBuf::from);
    missing.extend(devices.iter().filter(|path| !path.exists()).map(|path| path.display().to_string()));
    let made: Vec<_> = systems.iter().map(|system| format!("mkfs.{}", system.name())).collect();
    let programs = made.into_iter().chain(["losetup", "mount", "umount"].map(str::to_owned));
    let found = |name: &String| {
        ["/usr/sbin", "/sbin", "/usr/bin", "/bin"].iter().any(|dir| Path::new(dir).join(name).exists())
    };
    missing.extend(programs.filter(|name| !found(name)));
    if missing.is_empty() {
        return true;
    }
    let said = format!("{test}: SKIPPED, this machine does not have: {}", missing.join(", "));
    assert!(std::env::var_os("RESTANTE_REQUIRE_PEERS").is_none_or(|value| value != "1"), "{said}");
    super::say(&said);
    false
}

/// A file, as a file system; unmounted when dropped.
#[derive(Debug)]
pub struct LoopMount {
    device: String,
    dir: TempDir,
}

impl LoopMount {
    /// Mounts the file system in an image; its journal is played back first, as after a loss of power.
    ///
    /// # Panics
    /// When the image cannot be mounted.
    #[must_use]
    pub fn new(image: &Path, system: FileSystem) -> Self {
        let dir =
            tempfile::Builder::new().prefix("restante-mount-").tempdir().expect("a temporary directory");
        let sectors = if system == FileSystem::Xfs { "4096" } else { "512" };
        let device =
            run(Command::new("losetup").args(["--find", "--show", "--sector-size", sectors]).arg(image));
        let mounted = Self { device, dir };
        // Two copies of one xfs have the same UUID.
        let options = if system == FileSystem::Xfs { "nouuid" } else { "errors=remount-ro" };
        run(Command::new("mount")
            .args(["-t", system.name(), "-o", options, &mounted.device])
            .arg(mounted.dir.path()));
        mounted
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for LoopMount {
    fn drop(&mut self) {
        let quiet = |command: &mut Command| {
            let _ = command.env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin").output();
        };
        quiet(Command::new("umount").arg(self.dir.path()));
        // What is still busy goes when its last user does.
        quiet(Command::new("umount").args(["-q", "-l"]).arg(self.dir.path()));
        quiet(Command::new("losetup").args(["-d", &self.device]));
    }
}
