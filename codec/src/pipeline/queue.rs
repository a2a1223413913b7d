//! Short queues between stages. The end is a message of its own, so that a stage that died is told from one that
//! finished.

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::error::{Error, Result};

#[derive(Debug)]
enum Message<T> {
    Item(T),
    Failed(Error),
    End,
}

/// Where a stage puts what it made.
#[derive(Debug)]
pub(super) struct Outlet<T>(Sender<Message<T>>);

/// Where the next stage takes it from.
#[derive(Debug)]
pub(super) struct Inlet<T> {
    receiver: Receiver<Message<T>>,
    ended: bool,
}

/// A queue with room for `capacity` items.
pub(super) fn queue<T>(capacity: usize) -> (Outlet<T>, Inlet<T>) {
    let (sender, receiver) = bounded(capacity);
    let inlet = Inlet {
        receiver,
        ended: false,
    };
    (Outlet(sender), inlet)
}

impl<T> Outlet<T> {
    /// Puts an item in; waits for room.
    pub(super) fn send(&self, item: T) -> Result<()> {
        self.put(Message::Item(item))
    }

    pub(super) fn end(self) -> Result<()> {
        self.put(Message::End)
    }

    pub(super) fn fail(self, error: Error) -> Result<()> {
        self.put(Message::Failed(error))
    }

    fn put(&self, message: Message<T>) -> Result<()> {
        self.0.send(message).map_err(|_| Error::Closed)
    }
}

impl<T> Inlet<T> {
    /// The next item; waits for it. `None` after the end and after an error.
    pub(super) fn next(&mut self) -> Result<Option<T>> {
        if self.ended {
            return Ok(None);
        }
        match self.receiver.recv() {
            Ok(Message::Item(item)) => Ok(Some(item)),
            message => {
                self.ended = true;
                match message {
                    Ok(Message::Failed(error)) => Err(error),
                    Err(_) => Err(Error::Stopped),
                    Ok(_) => Ok(None),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_told_apart() {
        let (outlet, mut inlet) = queue(4);
        outlet.send(1).unwrap();
        outlet.end().unwrap();
        assert_eq!(inlet.next().unwrap(), Some(1));
        assert_eq!(inlet.next().unwrap(), None);
        assert_eq!(inlet.next().unwrap(), None);

        let (outlet, mut inlet) = queue::<u8>(4);
        outlet.fail(Error::parameter("x", "is bad")).unwrap();
        assert!(matches!(inlet.next(), Err(Error::Parameter { .. })));
        assert_eq!(inlet.next().unwrap(), None);

        let (outlet, mut inlet) = queue::<u8>(4);
        drop(outlet);
        assert!(matches!(inlet.next(), Err(Error::Stopped)));

        let (outlet, inlet) = queue(4);
        drop(inlet);
        assert!(matches!(outlet.send(1), Err(Error::Closed)));
    }
}
