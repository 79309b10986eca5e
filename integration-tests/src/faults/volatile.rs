//! What a disk with a write cache holds: what the last flush confirmed, and what came since, which a loss of power may
//! take or leave sector by sector.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use nix::unistd::{Whence, lseek};

use super::Chance;

/// The least that a disk writes whole or not at all.
const SECTOR: u64 = 512;

/// What a loss of power leaves of what was not flushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Nothing of it.
    All,
    /// What was written before some moment; the write at that moment is torn.
    Suffix,
    /// Any of the writes, each whole.
    Writes,
    /// Any of the sectors, in whatever state they had since the flush.
    Sectors,
}

impl Loss {
    /// Each of them.
    pub const EVERY: [Self; 4] = [Self::All, Self::Suffix, Self::Writes, Self::Sectors];
}

/// What is known of one snapshot.
#[derive(Debug, Clone, Copy)]
pub struct Snapshot {
    /// Writes since the last flush.
    pub writes: usize,
    /// Sectors of these writes.
    pub sectors: u64,
    /// Of these, sectors that are not in the snapshot.
    pub dropped: u64,
    /// Flushes of the disk so far.
    pub flushes: u64,
}

/// The disk's two states, each a file.
#[derive(Debug)]
pub(super) struct Volatile {
    /// With everything written so far: what a reader sees.
    current: File,
    /// As the last flush left it.
    durable: File,
    size: u64,
    pending: Vec<(u64, Vec<u8>)>,
    flushes: u64,
    writes: u64,
    /// Confirms flushes without keeping them: the control of the test.
    liar: bool,
}

impl Volatile {
    /// Both files have the same content.
    pub(super) fn new(current: File, durable: File) -> io::Result<Self> {
        let size = current.metadata()?.len();
        Ok(Self { current, durable, size, pending: Vec::new(), flushes: 0, writes: 0, liar: false })
    }

    pub(super) const fn size(&self) -> u64 {
        self.size
    }

    pub(super) const fn unflushed(&self) -> usize {
        self.pending.len()
    }

    pub(super) const fn flushes(&self) -> u64 {
        self.flushes
    }

    pub(super) const fn writes(&self) -> u64 {
        self.writes
    }

    pub(super) const fn lie(&mut self) {
        self.liar = true;
    }

    pub(super) fn read(&self, offset: u64, size: u64) -> io::Result<Vec<u8>> {
        let size = size.min(self.size.saturating_sub(offset));
        let mut octets = vec![0; usize::try_from(size).map_err(io::Error::other)?];
        self.current.read_exact_at(&mut octets, offset)?;
        Ok(octets)
    }

    pub(super) fn write(&mut self, offset: u64, octets: &[u8]) -> io::Result<()> {
        if offset + octets.len() as u64 > self.size {
            return Err(io::Error::from_raw_os_error(nix::libc::ENOSPC));
        }
        self.current.write_all_at(octets, offset)?;
        self.writes += 1;
        self.pending.push((offset, octets.to_vec()));
        Ok(())
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.flushes += 1;
        if !self.liar {
            for (offset, octets) in std::mem::take(&mut self.pending) {
                self.durable.write_all_at(&octets, offset)?;
            }
        }
        Ok(())
    }

    /// Writes the disk as it would be found after a loss of power now; it goes on as it was.
    pub(super) fn snapshot(&self, to: &Path, loss: Loss, chance: &mut Chance) -> io::Result<Snapshot> {
        let image = File::create(to)?;
        image.set_len(self.size)?;
        copy_data(&self.durable, &image)?;
        let mut seen = Snapshot { writes: self.pending.len(), sectors: 0, dropped: 0, flushes: self.flushes };
        let cut = chance.below(self.pending.len() as u64 + 1);
        let kept = 10 + chance.below(81);
        for (number, (offset, octets)) in self.pending.iter().enumerate() {
            let whole = chance.percent(kept);
            let mut at = 0;
            while at < octets.len() {
                let here = offset + at as u64;
                let end = octets.len().min(at + usize::try_from(SECTOR - here % SECTOR).unwrap_or(0));
                let keep = match loss {
                    Loss::All => false,
                    Loss::Suffix if number as u64 == cut => chance.percent(50),
                    Loss::Suffix => (number as u64) < cut,
                    Loss::Writes => whole,
                    Loss::Sectors => chance.percent(kept),
                };
                if keep {
                    image.write_all_at(&octets[at..end], here)?;
                }
                seen.sectors += 1;
                seen.dropped += u64::from(!keep);
                at = end;
            }
        }
        Ok(seen)
    }
}

/// Copies what is not a hole.
pub(super) fn copy_data(from: &File, to: &File) -> io::Result<()> {
    let end = i64::try_from(from.metadata()?.len()).map_err(io::Error::other)?;
    let mut block = vec![0; 1 << 20];
    let mut at = 0;
    while let Ok(data) = lseek(from, at, Whence::SeekData) {
        let hole = lseek(from, data, Whence::SeekHole).map_or(end, |hole| hole.min(end));
        let mut here = data.unsigned_abs();
        while here < hole.unsigned_abs() {
            let wanted = block.len().min(usize::try_from(hole.unsigned_abs() - here).unwrap_or(usize::MAX));
            from.read_exact_at(&mut block[..wanted], here)?;
            to.write_all_at(&block[..wanted], here)?;
            here += wanted as u64;
        }
        at = hole;
        if at >= end {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(dir: &Path) -> Volatile {
        let file = |name: &str| {
            let file =
                File::options().create(true).truncate(true).read(true).write(true).open(dir.join(name));
            let file = file.expect("a file");
            file.set_len(64 << 10).expect("a length");
            file
        };
        Volatile::new(file("current"), file("durable")).expect("two files")
    }

    #[test]
    fn what_was_flushed_stays_and_the_rest_is_any_mixture() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut disk = disk(dir.path());
        disk.write(0, &[1; 4096]).expect("written");
        disk.flush().expect("flushed");
        disk.write(0, &[2; 4096]).expect("written");
        disk.write(4096, &[3; 8192]).expect("written");
        assert_eq!(disk.read(0, 512).expect("read"), [2; 512]);
        let (mut mixtures, to) = (std::collections::BTreeSet::new(), dir.path().join("image"));
        for seed in 0..200 {
            let loss = Loss::EVERY[seed as usize % 4];
            let seen = disk.snapshot(&to, loss, &mut Chance::new(seed)).expect("a snapshot");
            let image = std::fs::read(&to).expect("an image");
            assert_eq!((seen.writes, seen.sectors, image.len()), (2, 24, 64 << 10));
            for (number, sector) in image.chunks(512).enumerate() {
                let possible: &[u8] = [&[1, 2][..], &[0, 3], &[0]][(number / 8).min(3).div_ceil(2).min(2)];
                assert!(possible.contains(&sector[0]), "sector {number}: {}", sector[0]);
                assert!(sector.iter().all(|octet| *octet == sector[0]), "sector {number} is torn");
            }
            if loss == Loss::All {
                assert!(image[..4096].iter().all(|octet| *octet == 1) && seen.dropped == 24);
            }
            let again = dir.path().join("again");
            disk.snapshot(&again, loss, &mut Chance::new(seed)).expect("a snapshot");
            assert!(std::fs::read(again).expect("an image") == image, "a seed says it all");
            mixtures.insert(image);
        }
        assert!(mixtures.len() > 40, "{} mixtures", mixtures.len());
    }

    #[test]
    fn a_liar_keeps_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut disk = disk(dir.path());
        disk.lie();
        disk.write(0, &[1; 4096]).expect("written");
        disk.flush().expect("said to be flushed");
        let to = dir.path().join("image");
        disk.snapshot(&to, Loss::All, &mut Chance::new(1)).expect("a snapshot");
        assert!(std::fs::read(to).expect("an image").iter().all(|octet| *octet == 0));
    }
}
