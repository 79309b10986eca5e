//! The machine asks, it never decides.

use std::marker::PhantomData;

/// A question that is out. Only the machine builds it; it is answered once, by `grant` with the proof that the
/// question wants, or by `refuse` with a reply. While it is out the machine reads nothing.
#[derive(Debug)]
#[must_use = "the machine reads nothing until its question is answered"]
pub struct Ask<Q> {
    question: PhantomData<fn() -> Q>,
}

impl<Q> Ask<Q> {
    pub(crate) const fn new() -> Self {
        Self { question: PhantomData }
    }

    /// It is answered.
    pub(crate) fn spend(self) {
        let Self { question: PhantomData } = self;
    }
}
