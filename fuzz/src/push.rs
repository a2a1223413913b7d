//! The same result however the input is cut into pieces.

use latentbit_container::{Event, Next, Parser, ReadMode, Status};

use crate::{LIMITS, budget};

/// Everything that is told, as text.
fn told(data: &[u8], mut pieces: impl Iterator<Item = usize>, mode: ReadMode) -> (Vec<String>, Status) {
    let mut parser = Parser::new(LIMITS, mode);
    let mut rest = data;
    let mut told = Vec::new();
    loop {
        match parser.poll() {
            Ok(Next::NeedInput) if rest.is_empty() => parser.finish(),
            Ok(Next::NeedInput) => {
                let len = pieces.next().unwrap_or(usize::MAX).clamp(1, rest.len());
                parser.push(&rest[..len]);
                rest = &rest[len..];
            }
            // Behind the end, how much is passed over at a time depends on how much of it is there.
            Ok(Next::Event(Event::Lost(_))) => {}
            Ok(Next::Event(event)) => told.push(format!("{event:?}")),
            Ok(Next::End) => break,
            Err(error) => {
                told.push(format!("{:?}", error.kind()));
                break;
            }
        }
    }
    (told, parser.status())
}

pub fn run(data: &[u8]) {
    let Some((&size, data)) = data.split_first() else {
        return;
    };
    budget::of_file(data, || check(usize::from(size).max(1), data));
}

fn check(step: usize, data: &[u8]) {
    for mode in [ReadMode::Strict, ReadMode::Resync, ReadMode::Join] {
        let whole = told(data, std::iter::empty(), mode);
        assert_eq!(told(data, std::iter::repeat(step), mode), whole);
    }
}
