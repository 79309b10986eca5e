//! What a process uses, as the kernel counts it.

/// Memory and descriptors of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Resident memory in KiB.
    pub resident: u64,
    /// The most that was resident at one time, in KiB.
    pub peak: u64,
    /// Open descriptors.
    pub files: u64,
}

/// What the process uses now; `None` when it is gone.
#[must_use]
pub fn usage(pid: i32) -> Option<Usage> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count();
    Some(Usage { resident: line("VmRSS:")?, peak: line("VmHWM:")?, files: files as u64 })
}
