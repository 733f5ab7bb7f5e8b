//! The distinct words as token ids in one arena, in which merging moves nothing.
//!
//! A token keeps the slots of what it was merged from: its id stands in the first of them, in the
//! last, and where its right half began. So the neighbours of an occurrence are found without
//! walking through the word, however long that is, and an occurrence that was merged away shows:
//! the slot where it began holds a newer id.
//!
//! Ids are stored one higher than they are named, because 0 marks the borders between words.

mod layout;

use crate::error::Error;
use layout::Layout;

/// Two neighbouring token ids.
pub type Pair = (u32, u32);

/// Values of one byte.
pub(crate) const NUM_BYTES: u32 = 256;
/// The stored id between words.
pub(crate) const BORDER: u32 = 0;

/// Slots that share an entry in the index of count classes.
const BLOCK: usize = 32;

/// How ids are stored: half the memory where 16 bits are enough.
pub(crate) trait Id: Copy + Eq + Default {
    fn new(id: u32) -> Self;
    fn get(self) -> u32;
    fn index(self) -> usize {
        self.get() as usize
    }
}

impl Id for u16 {
    fn new(id: u32) -> Self {
        // `Trainer::new` picks this width only when every id fits.
        Self::try_from(id).unwrap_or(Self::MAX)
    }
    fn get(self) -> u32 {
        u32::from(self)
    }
}

impl Id for u32 {
    fn new(id: u32) -> Self {
        id
    }
    fn get(self) -> u32 {
        self
    }
}

/// Words with at least one pair, those with equal counts side by side.
pub(crate) struct Words<I> {
    /// Every word is followed by a border, and one stands before the first.
    pub slots: Vec<I>,
    /// How many slots each stored id takes.
    pub spans: Vec<u32>,
    classes: Vec<Class>,
    // The class of the first slot of each block.
    blocks: Vec<u32>,
}

/// The slots of all words with one count.
#[derive(Clone, Copy)]
pub(crate) struct Class {
    /// The first slot behind them.
    pub end: usize,
    pub count: u64,
}

/// How far the words have been packed.
pub(crate) struct Packing {
    read: usize,
    write: usize,
    // Where the word at hand begins among the packed ones.
    word: usize,
    class: usize,
}

impl Packing {
    pub fn new() -> Self {
        // The border before the first word stays.
        Self {
            read: 1,
            write: 1,
            word: 1,
            class: 0,
        }
    }
}

impl<I: Id> Words<I> {
    /// Copies the words in, one id per byte. The iterator is run through twice.
    pub fn new<'w>(counted: impl Iterator<Item = (&'w [u8], u64)> + Clone) -> Result<Self, Error> {
        let has_pairs = |word: &(&[u8], u64)| word.0.len() > 1 && word.1 > 0;
        let mut layout = Layout::default();
        for (bytes, count) in counted.clone().filter(has_pairs) {
            layout.measure(bytes.len(), count)?;
        }
        let (classes, num_slots) = layout.place()?;
        let mut slots = vec![I::new(BORDER); num_slots];
        for (bytes, count) in counted.filter(has_pairs) {
            let start = layout.claim(bytes.len(), count);
            // Nothing is out of range, unless the second run through the words differs.
            if let Some(word) = slots.get_mut(start..start + bytes.len()) {
                for (slot, &byte) in word.iter_mut().zip(bytes) {
                    *slot = I::new(u32::from(byte) + 1);
                }
            }
        }
        let mut words = Self {
            slots,
            spans: vec![1; NUM_BYTES as usize + 1],
            classes,
            blocks: Vec::new(),
        };
        words.index_blocks();
        Ok(words)
    }

    /// Returns the class that holds a slot.
    #[inline]
    pub fn class_at(&self, slot: usize) -> Class {
        let mut class = self.blocks[slot / BLOCK] as usize;
        while self.classes[class].end <= slot {
            class += 1;
        }
        self.classes[class]
    }

    /// Gives every token one slot and drops words without pairs; `visit` gets each pair and count.
    ///
    /// Stops when `fuel` tokens have been read, and returns whether that was all. When it was not,
    /// call it again before anything else is done to the words.
    pub fn pack(
        &mut self,
        at: &mut Packing,
        fuel: &mut usize,
        visit: impl FnMut(I, I, u64),
    ) -> bool {
        let is_done = if self.spans.len() > NUM_BYTES as usize + 1 {
            self.pack_classes::<true>(at, fuel, visit)
        } else {
            self.pack_classes::<false>(at, fuel, visit)
        };
        if is_done {
            self.slots.truncate(at.write);
            self.slots.shrink_to_fit();
            self.spans.fill(1);
            let mut start = 1;
            self.classes
                .retain(|class| std::mem::replace(&mut start, class.end) < class.end);
            self.index_blocks();
        }
        is_done
    }

    /// `HAS_SPANS` is false when every token takes one slot, so that reading need not wait for it.
    fn pack_classes<const HAS_SPANS: bool>(
        &mut self,
        at: &mut Packing,
        fuel: &mut usize,
        mut visit: impl FnMut(I, I, u64),
    ) -> bool {
        let (slots, border) = (&mut self.slots[..], I::new(BORDER));
        while let Some(class) = self.classes.get_mut(at.class) {
            let stop = class.end.min(at.read.saturating_add(*fuel));
            let (begin, mut read, mut write, mut word) = (at.read, at.read, at.write, at.word);
            let mut before = slots[write - 1];
            while read < stop {
                let id = slots[read];
                slots[write] = id;
                write += 1;
                if id == border {
                    // A word of one token holds no pair any more.
                    write = if write - word < 3 { word } else { write };
                    word = write;
                } else if before != border {
                    visit(before, id, class.count);
                }
                before = id;
                read += if HAS_SPANS {
                    self.spans[id.index()] as usize
                } else {
                    1
                };
            }
            *fuel = fuel.saturating_sub(read - begin);
            (at.read, at.write, at.word) = (read, write, word);
            if read < class.end {
                return false;
            }
            class.end = write;
            at.class += 1;
        }
        true
    }

    fn index_blocks(&mut self) {
        self.blocks.clear();
        let ends: Vec<usize> = self.classes.iter().map(|class| class.end).collect();
        let mut class = 0_u32;
        for slot in (0..self.slots.len()).step_by(BLOCK) {
            while ends.get(class as usize).is_some_and(|&end| end <= slot) {
                class += 1;
            }
            self.blocks.push(class);
        }
        self.blocks.shrink_to_fit();
    }

    pub fn memory_bytes(&self) -> usize {
        size_of::<I>() * self.slots.capacity()
            + size_of::<u32>() * (self.spans.capacity() + self.blocks.capacity())
            + size_of::<Class>() * self.classes.capacity()
    }
}
