//! The questions and their proofs.

use std::convert::Infallible;
use std::marker::PhantomData;

use restante_types::{QueueId, Recipient, Reply, Severity};

use super::event::EtrnAnswer;
use crate::sasl::{Identity, ScramKeys};

mod sealed {
    /// Questions are the machine's own.
    pub trait Sealed {}
}

/// What a proof says to the machine, without its type.
#[derive(Debug)]
#[doc(hidden)]
pub enum Granted {
    /// [`Mail`]
    Mail,
    /// [`Rcpt`]
    Rcpt(Recipient),
    /// [`Begin`]
    Begin,
    /// [`Queued`]
    Queued(QueueId),
    /// [`Queued`], in somebody else's words.
    Taken(Reply),
    /// [`StartTls`]
    StartTls,
    /// [`Etrn`]
    Etrn(EtrnAnswer),
    /// [`ScramKeys`]
    ScramKeys(ScramKeys),
    /// [`Auth`]
    Auth(Identity),
    /// [`Atrn`]
    Atrn,
    /// [`Turn`]
    Turn,
}

/// A kind of question, with the proof that grants it.
pub trait Question: sealed::Sealed {
    /// What the caller must hand over to say yes.
    type Proof;

    /// The proof as the machine takes it.
    #[doc(hidden)]
    fn granted(proof: Self::Proof) -> Granted;
}

/// May this sender send? Refusal: any 4yz or 5yz.
#[derive(Debug)]
pub enum Mail {}
impl sealed::Sealed for Mail {}
impl Question for Mail {
    type Proof = ();
    fn granted((): ()) -> Granted {
        Granted::Mail
    }
}

/// May this recipient get mail? The proof is the recipient as it will be stored (`Postmaster` has a domain by then).
#[derive(Debug)]
pub enum Rcpt {}
impl sealed::Sealed for Rcpt {}
impl Question for Rcpt {
    type Proof = Recipient;
    fn granted(recipient: Recipient) -> Granted {
        Granted::Rcpt(recipient)
    }
}

/// May content come now (`354`, or the first BDAT)? After the grant content flows into the sink.
#[derive(Debug)]
pub enum Begin {}
impl sealed::Sealed for Begin {}
impl Question for Begin {
    type Proof = ();
    fn granted((): ()) -> Granted {
        Granted::Begin
    }
}

/// Is the message durable? The proof says so and names it.
#[derive(Debug)]
pub enum Queued<R> {
    /// Never built.
    #[doc(hidden)]
    Never(Infallible, PhantomData<R>),
}
impl<R> sealed::Sealed for Queued<R> {}
impl<R: QueuedAs> Question for Queued<R> {
    type Proof = R;
    fn granted(receipt: R) -> Granted {
        match receipt.reply() {
            Some(reply) if reply.severity() == Severity::Completed => Granted::Taken(reply),
            _ => Granted::Queued(receipt.queue_id()),
        }
    }
}

/// May TLS start? After the grant the machine is spent: the driver sends what is to be transmitted, checks that
/// nothing came early, upgrades the stream and builds a new machine with
/// [`ServerSession::after_tls`](super::ServerSession::after_tls).
#[derive(Debug)]
pub enum StartTls {}
impl sealed::Sealed for StartTls {}
impl Question for StartTls {
    type Proof = ();
    fn granted((): ()) -> Granted {
        Granted::StartTls
    }
}

/// May this node's queue flow? RFC 1985.
#[derive(Debug)]
pub enum Etrn {}
impl sealed::Sealed for Etrn {}
impl Question for Etrn {
    type Proof = EtrnAnswer;
    fn granted(answer: EtrnAnswer) -> Granted {
        Granted::Etrn(answer)
    }
}

/// What are the keys of this account? RFC 5802. Refusal: 454 4.7.0 where it cannot be known now.
impl sealed::Sealed for ScramKeys {}
impl Question for ScramKeys {
    type Proof = Self;
    fn granted(keys: Self) -> Granted {
        Granted::ScramKeys(keys)
    }
}

/// Who is this? Refusal: 535 5.7.8 for whatever is the client's fault, in the same words and the same time; 454 4.7.0 where
/// it cannot be known now; 432 4.7.12 and 534 5.7.9 by [4954-6]. The identity is the session's once the client was told:
/// after SCRAM that is one line later.
#[derive(Debug)]
pub enum Auth {}
impl sealed::Sealed for Auth {}
impl Question for Auth {
    type Proof = Identity;
    fn granted(identity: Identity) -> Granted {
        Granted::Auth(identity)
    }
}

/// May these domains' mail go to this client over this connection? [2645-5.2.1]; refusal: 450, 451, 453. After the
/// grant the machine is spent: the driver has checked right before that nothing came early, sends what is to be
/// transmitted, and hands the stream over to where mail goes out.
#[derive(Debug)]
pub enum Atrn {}
impl sealed::Sealed for Atrn {}
impl Question for Atrn {
    type Proof = ();
    fn granted((): ()) -> Granted {
        Granted::Atrn
    }
}

/// The same without domains, RFC 821 3.8; refusal: 502.
#[derive(Debug)]
pub enum Turn {}
impl sealed::Sealed for Turn {}
impl Question for Turn {
    type Proof = ();
    fn granted((): ()) -> Granted {
        Granted::Turn
    }
}

/// A proof of durability that can name the message.
pub trait QueuedAs {
    /// For `250 2.0.0 queued as …`.
    fn queue_id(&self) -> QueueId;

    /// The words of whoever took the message, where that was not our queue: a 2yz.
    fn reply(&self) -> Option<Reply> {
        None
    }
}
