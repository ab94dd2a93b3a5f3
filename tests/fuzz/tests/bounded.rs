//! A bounded run of every target: the corpus as it is, and then changed, the same way in every run.

use std::path::Path;

use idem_fuzz_targets::TARGETS;

/// So many changed inputs for each target.
const CHANGED: usize = 3_000;

/// A number after the other, the same in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).expect("48 bits")
    }

    fn below(&mut self, end: usize) -> usize {
        self.next() % end.max(1)
    }
}

/// Bytes that change how many others are read.
const SPECIAL: [u8; 12] = [0x00, 0x01, 0x18, 0x1b, 0x5f, 0x7b, 0x80, 0x9f, 0xa1, 0xbf, 0xf6, 0xff];

fn change(bytes: &mut Vec<u8>, corpus: &[Vec<u8>], numbers: &mut Numbers) {
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(bytes.len());
        match numbers.below(6) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << numbers.below(8),
            1 if !bytes.is_empty() => bytes[at] = SPECIAL[numbers.below(SPECIAL.len())],
            2 => bytes.truncate(at),
            3 => bytes.insert(at, SPECIAL[numbers.below(SPECIAL.len())]),
            4 => {
                let other = &corpus[numbers.below(corpus.len())];
                bytes.splice(at..at, other.iter().copied());
            }
            _ => {
                // The same again and again: what nests or repeats.
                let end = (at + 1 + numbers.below(8)).min(bytes.len());
                let part = bytes[at.min(end)..end].repeat(1 + numbers.below(300));
                bytes.splice(at..at, part);
            }
        }
        bytes.truncate(4096);
    }
}

fn run(name: &str) {
    let (_, target) = TARGETS.iter().find(|(target, _)| *target == name).expect("a target");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
    let mut files: Vec<_> =
        folder.read_dir().expect("a corpus").map(|file| file.expect("a file").path()).collect();
    files.sort();
    let corpus: Vec<_> = files.iter().map(|file| std::fs::read(file).expect("a file")).collect();
    assert!(!corpus.is_empty());
    for bytes in &corpus {
        target(bytes);
    }
    let mut numbers = Numbers(0x5eed_0001 + name.len() as u64);
    for _ in 0..CHANGED {
        let mut bytes = corpus[numbers.below(corpus.len())].clone();
        change(&mut bytes, &corpus, &mut numbers);
        target(&bytes);
    }
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            // As large as the stack on which the compiler runs the attribute.
            let run = std::thread::Builder::new().stack_size(8 << 20).spawn(|| run(stringify!($name)));
            run.expect("a thread").join().expect("nothing is found");
        })*

        #[test]
        fn every_target_is_run() {
            let names: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
        }
    };
}

targets! { attribute encoding record result url }
