//! File systems on which SQLite's locks do not hold.

use std::path::Path;

/// The network file system that a folder lies on, if it lies on one that is known.
#[cfg(target_os = "linux")]
pub(crate) fn kind_of(folder: &Path) -> Option<&'static str> {
    let found = rustix::fs::statfs(folder).ok()?;
    // Of different types on different machines; all the numbers have 32 bits.
    name_of(found.f_type as u32)
}

/// The network file system that a folder lies on: not looked at here.
#[cfg(not(target_os = "linux"))]
pub(crate) fn kind_of(_: &Path) -> Option<&'static str> {
    None
}

#[cfg(target_os = "linux")]
fn name_of(number: u32) -> Option<&'static str> {
    Some(match number {
        0x0000_6969 => "NFS",
        0x0000_517b | 0xff53_4d42 | 0xfe53_4d42 => "SMB",
        0x5346_414f | 0x6b41_4653 => "AFS",
        0x00c3_6400 => "Ceph",
        0x7375_7245 => "Coda",
        0x0bd0_0bd0 => "Lustre",
        0x0000_564c => "NCP",
        _ => return None,
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_known_by_name_and_local_ones_pass() {
        // As linux/magic.h and the file systems' own sources have them.
        for (number, name) in [
            (0x6969, "NFS"),
            (0x517b, "SMB"),
            (0xff53_4d42, "SMB"),
            (0xfe53_4d42, "SMB"),
            (0x5346_414f, "AFS"),
            (0x6b41_4653, "AFS"),
            (0x00c3_6400, "Ceph"),
            (0x7375_7245, "Coda"),
            (0x0bd0_0bd0, "Lustre"),
            (0x564c, "NCP"),
        ] {
            assert_eq!(name_of(number), Some(name), "{number:x}");
        }
        // ext, tmpfs, btrfs, xfs, overlayfs
        for local in [0xef53, 0x0102_1994, 0x9123_683e, 0x5846_5342, 0x794c_7630] {
            assert_eq!(name_of(local), None, "{local:x}");
        }
        assert_eq!(kind_of(&std::env::temp_dir()), None);
    }
}
