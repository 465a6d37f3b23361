//! The last hundred answers, exactly.
//!
//! A ring of bits rather than an average, because an average hides a short burst of failures behind a long good past.

/// Which of the last [`Window::CAPACITY`] answers failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Window {
    /// The latest answer is the lowest bit; a failure is a one.
    bits: u128,
    len: u8,
}

impl Window {
    /// Answers it remembers.
    pub const CAPACITY: u8 = 100;

    /// From the parts of a record.
    pub const fn from_parts(bits: u128, len: u8) -> Self {
        let len = if len > Self::CAPACITY { Self::CAPACITY } else { len };
        Self { bits: bits & mask(len), len }
    }

    /// Its parts, for a record.
    pub const fn parts(self) -> (u128, u8) {
        (self.bits, self.len)
    }

    /// Takes an answer; the oldest one falls out.
    pub const fn push(&mut self, failed: bool) {
        if self.len < Self::CAPACITY {
            self.len += 1;
        }
        self.bits = ((self.bits << 1) | failed as u128) & mask(self.len);
    }

    /// The last `answers` of them, or all where there are fewer.
    #[must_use]
    pub const fn last(self, answers: u8) -> Self {
        Self::from_parts(self.bits, if answers < self.len { answers } else { self.len })
    }

    /// Answers in it.
    pub const fn len(self) -> u32 {
        self.len as u32
    }

    /// Whether there is no answer in it.
    pub const fn is_empty(self) -> bool {
        self.len == 0
    }

    /// Failures in it.
    pub const fn failures(self) -> u32 {
        self.bits.count_ones()
    }
}

const fn mask(len: u8) -> u128 {
    (1 << len) - 1
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_agrees_with_a_queue_of_answers(
            answers in prop::collection::vec(any::<bool>(), 0..400), last in any::<u8>()
        ) {
            let (mut window, mut naive) = (Window::default(), VecDeque::new());
            for failed in answers {
                window.push(failed);
                naive.push_back(failed);
                if naive.len() > usize::from(Window::CAPACITY) {
                    naive.pop_front();
                }
                prop_assert_eq!(window.len() as usize, naive.len());
                prop_assert_eq!(window.failures() as usize, naive.iter().filter(|&&f| f).count());
                let latest = naive.iter().rev().take(last.into());
                let (len, failures) = latest.fold((0, 0), |(len, failures), &f| (len + 1, failures + u32::from(f)));
                prop_assert_eq!((window.last(last).len(), window.last(last).failures()), (len, failures));
                let (bits, len) = window.parts();
                prop_assert_eq!(Window::from_parts(bits, len), window);
            }
        }
    }

    #[test]
    fn parts_that_cannot_be_are_cut_to_what_can() {
        let window = Window::from_parts(u128::MAX, 255);
        assert_eq!((window.len(), window.failures()), (100, 100));
        assert!(Window::from_parts(u128::MAX, 0).is_empty());
    }
}
