//! What time it is, by the wall and by the clock of the leases.

use idem_runtime::{LeaseTime, Now, Timestamp};

/// The clocks of this machine.
///
/// On Linux leases are measured by `CLOCK_BOOTTIME`, which nobody sets and which goes on while the machine
/// sleeps; the run is the boot. Elsewhere they are measured by the wall clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    run: u64,
}

impl Clock {
    /// The clocks, or why leases cannot be measured.
    pub(crate) fn open() -> Result<Self, String> {
        Ok(Clock { run: run()? })
    }

    #[inline]
    pub(crate) fn now(&self) -> Now {
        let wall = Timestamp::now();
        Now { wall, lease: LeaseTime { run: self.run, micros: micros(wall) } }
    }
}

#[cfg(target_os = "linux")]
#[inline]
fn micros(_: Timestamp) -> u64 {
    use rustix::time::{ClockId, clock_gettime};

    let now = clock_gettime(ClockId::Boottime);
    // Never negative: it counts from the start of the machine.
    let (secs, nanos) = (now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs());
    secs * 1_000_000 + nanos / 1_000
}

#[cfg(not(target_os = "linux"))]
#[inline]
fn micros(wall: Timestamp) -> u64 {
    wall.as_micros()
}

/// The number of this boot: the first 64 bits of the boot id, which is random.
#[cfg(target_os = "linux")]
fn run() -> Result<u64, String> {
    const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

    let text = std::fs::read_to_string(BOOT_ID).map_err(|error| format!("{BOOT_ID}: {error}"))?;
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).take(16).collect();
    if digits.len() < 16 {
        return Err(format!("{BOOT_ID} holds no boot id"));
    }
    u64::from_str_radix(&digits, 16).map_err(|error| format!("{BOOT_ID}: {error}"))
}

#[cfg(not(target_os = "linux"))]
fn run() -> Result<u64, String> {
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_looks_are_of_one_run_and_in_order() {
        let (a, b) = (Clock::open().unwrap(), Clock::open().unwrap());
        let (first, second) = (a.now(), b.now());
        assert_eq!(first.lease.run, second.lease.run);
        assert!(first.lease.micros <= second.lease.micros);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn leases_follow_the_time_since_the_machine_started() {
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        let uptime: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        let now = Clock::open().unwrap().now();
        let since = std::time::Duration::from_micros(now.lease.micros).as_secs_f64();
        assert!((since - uptime).abs() < 5.0, "{since} is not {uptime}");
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap().replace('-', "");
        assert_eq!(format!("{:016x}", now.lease.run), boot[..16]);
    }
}
