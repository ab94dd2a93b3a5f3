//! What is encoded into a buffer that is large enough allocates nothing.

// Only an allocator of one's own can count what is allocated.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};

use idem::encoding::{append, from_slice};
use serde::{Deserialize, Serialize};

struct Counting;

thread_local!(static ALLOCATIONS: Cell<usize> = const { Cell::new(0) });

fn count() {
    // A thread that ends may free and allocate when its own variables are gone.
    let _ = ALLOCATIONS.try_with(|allocations| allocations.set(allocations.get() + 1));
}

// SAFETY: every request is handed to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations<T>(run: impl FnOnce() -> T) -> (usize, T) {
    let before = ALLOCATIONS.get();
    let result = run();
    (ALLOCATIONS.get() - before, result)
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Flat {
    order_id: u64,
    customer: u128,
    currency: Currency,
    amount_cents: i64,
    express: bool,
    weight: f64,
    created_at: u32,
    created_by: u32,
    parts: [u16; 4],
    place: (f32, f32),
    note: Option<Option<()>>,
    letter: char,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Currency {
    Euro,
    Other { code: char, digits: u8 },
}

fn flat() -> Flat {
    Flat {
        order_id: 81_726_354,
        customer: u128::MAX,
        currency: Currency::Other { code: '€', digits: 2 },
        amount_cents: -129_900,
        express: true,
        weight: 0.1,
        created_at: 1_700_000_000,
        created_by: 7,
        parts: [1, 20, 300, 4_000],
        place: (52.5, 13.4),
        note: Some(None),
        letter: 'x',
    }
}

fn assert_free<T: Serialize + ?Sized>(value: &T) {
    let mut out = Vec::with_capacity(8 * 1024);
    let (allocations, result) = allocations(|| append(value, &mut out));
    result.expect("an encoding");
    assert_eq!(allocations, 0);
}

#[test]
fn a_flat_struct_is_encoded_without_allocating() {
    assert_free(&flat());
    assert_free(&(7_u64, "ann"));
    // Structs in structs, sets of fields out of order, lists of them.
    assert_free(&(flat(), [flat(), flat()], Some(flat()), Currency::Euro));
    // What is only known by its `Display`, and lengths that come out otherwise than thought.
    assert_free(&format_args!("{} and more than 23 bytes of text", 1));
    struct Unknown;
    impl Serialize for Unknown {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_seq((0..100).filter(|number| number % 3 == 0))
        }
    }
    assert_free(&Unknown);
}

#[test]
fn a_map_of_up_to_24_entries_is_encoded_without_allocating() {
    let map: BTreeMap<i32, &str> = (-12..12).map(|number| (number, "x")).collect();
    assert_eq!(map.len(), 24);
    assert_free(&map);
    let map: BTreeMap<String, &str> =
        (0..24).map(|number| (format!("customer-{}", number % 13 * 100 + number), "x")).collect();
    assert_free(&map);
}

#[test]
fn what_was_read_is_all_that_is_allocated() {
    let mut out = Vec::new();
    append(&flat(), &mut out).expect("an encoding");
    let (count, back) = allocations(|| from_slice::<Flat>(&out));
    assert_eq!(back.expect("a value"), flat());
    assert_eq!(count, 0);

    out.clear();
    append(&("one", "two"), &mut out).expect("an encoding");
    let (count, back) = allocations(|| from_slice::<(String, String)>(&out));
    assert_eq!(back.expect("a value").0, "one");
    assert_eq!(count, 2);

    // How many there are is known before they are read.
    out.clear();
    append(&(vec![7_u64; 200], BTreeMap::from_iter((0..200).map(|key| (key, 7)))), &mut out)
        .expect("an encoding");
    let (count, back) = allocations(|| from_slice::<(Vec<u64>, HashMap<u64, u64>)>(&out));
    assert_eq!(back.expect("a value").1.len(), 200);
    assert_eq!(count, 2);
}
