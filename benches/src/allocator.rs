//! The program's allocator: the system's, which counts while it is asked to.
//!
//! Two counts. How often a thread allocates: its own, so that threads do not slow each other down. How many bytes
//! the process holds: what the allocator really gave, its own word in front of each piece included.
#![allow(unsafe_code, reason = "an allocator can only be written with it")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static WEIGH: AtomicBool = AtomicBool::new(false);
static HELD: AtomicI64 = AtomicI64::new(0);

thread_local!(static COUNT: Cell<u64> = const { Cell::new(0) });

/// How many bytes a piece takes: what can be used of it, and the word in which the system's allocator keeps its
/// length.
fn weight(piece: *mut u8) -> i64 {
    // SAFETY: the piece comes from the system's allocator, and is still held.
    let usable = unsafe { libc::malloc_usable_size(piece.cast()) };
    (usable + size_of::<usize>()) as i64
}

fn count() {
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

fn taken(piece: *mut u8) {
    if WEIGH.load(Ordering::Relaxed) && !piece.is_null() {
        HELD.fetch_add(weight(piece), Ordering::Relaxed);
    }
}

fn given_back(piece: *mut u8) {
    if WEIGH.load(Ordering::Relaxed) {
        HELD.fetch_sub(weight(piece), Ordering::Relaxed);
    }
}

// SAFETY: everything is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller promises.
        let piece = unsafe { System.alloc(layout) };
        taken(piece);
        piece
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller promises.
        let piece = unsafe { System.alloc_zeroed(layout) };
        taken(piece);
        piece
    }

    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        given_back(piece);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(piece, layout) }
    }

    unsafe fn realloc(&self, piece: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        given_back(piece);
        // SAFETY: as the caller promises.
        let moved = unsafe { System.realloc(piece, layout, size) };
        taken(if moved.is_null() { piece } else { moved });
        moved
    }
}

/// How often this thread allocates while `run` runs.
pub fn allocations(run: impl FnOnce()) -> u64 {
    let before = COUNT.get();
    run();
    COUNT.get() - before
}

/// How many bytes more the process holds after `run` than before.
pub fn held_by(run: impl FnOnce()) -> i64 {
    HELD.store(0, Ordering::Relaxed);
    WEIGH.store(true, Ordering::Relaxed);
    run();
    WEIGH.store(false, Ordering::Relaxed);
    HELD.load(Ordering::Relaxed)
}
