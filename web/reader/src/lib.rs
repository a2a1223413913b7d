//! The `.lbit` container for JavaScript. `ts/index.ts` is what users see; this is what it calls.
//!
//! Nothing here waits: a reading whose bytes are not here yet fails, and is tried again when they are; see [`input`].

mod input;
mod values;

use std::cell::RefCell;
use std::rc::Rc;

use latentbit_container::{
    Error, File, Limits, Next, Parser, PixelFrames, ReadMode, Reader, StreamId, WriterOptions, edit,
    verify_file,
};
use wasm_bindgen::prelude::*;

use crate::input::{Blocks, Input};
use crate::values::{GivenLimits, thrown, to_js};

fn limits_of(given: JsValue) -> Result<Limits, JsValue> {
    let given: GivenLimits = match given.is_undefined() {
        true => GivenLimits::default(),
        false => serde_wasm_bindgen::from_value(given)?,
    };
    given.over_defaults()
}

/// A count or an offset from JavaScript; what is negative or not a number is 0.
const fn count(value: f64) -> u64 {
    value as u64
}

/// A file whose bytes come bit by bit.
#[wasm_bindgen]
pub struct Source {
    blocks: Rc<RefCell<Blocks>>,
    limits: Limits,
    file: Option<File<Input>>,
    events: Option<Reader<Input>>,
}

#[wasm_bindgen]
impl Source {
    /// A file of `len` bytes, of which at most `keep` are kept between two readings and `most` during one.
    #[wasm_bindgen(constructor)]
    pub fn new(len: f64, keep: f64, most: f64, limits: JsValue) -> Result<Source, JsValue> {
        let blocks = Blocks::new(count(len), count(keep), count(most));
        Ok(Self {
            blocks: Rc::new(RefCell::new(blocks)),
            limits: limits_of(limits)?,
            file: None,
            events: None,
        })
    }

    /// Begins a reading, which is one or more tries of one of the functions below.
    pub fn begin(&self) {
        self.blocks.borrow_mut().begin();
    }

    /// Ends a reading.
    pub fn end(&self) {
        self.blocks.borrow_mut().end();
    }

    /// Offset and length of what the last try lacked; nothing if its result stands.
    pub fn missing(&self) -> Result<Option<Box<[f64]>>, JsValue> {
        let missing = self.blocks.borrow_mut().missing();
        let missing = missing.map_err(|message| js_sys::RangeError::new(&message))?;
        Ok(missing.map(|missing| [missing.offset as f64, missing.len as f64].into()))
    }

    /// Takes bytes that were missing.
    pub fn put(&self, offset: f64, bytes: &[u8]) {
        self.blocks.borrow_mut().put(count(offset), bytes);
    }

    fn input(&self) -> Input {
        Input::new(&self.blocks)
    }

    fn file(&mut self) -> Result<&mut File<Input>, JsValue> {
        self.file
            .as_mut()
            .ok_or_else(|| js_sys::Error::new("the file is not open").into())
    }

    /// Reads header and index, or the whole file if it has none.
    pub fn open(&mut self) -> Result<(), JsValue> {
        let file = File::open(self.input(), self.limits);
        self.file = Some(file.map_err(|error| thrown(&error))?);
        Ok(())
    }

    /// The header.
    pub fn header(&mut self) -> Result<JsValue, JsValue> {
        let file = self.file()?;
        to_js(&values::header(file.header(), file.version()))
    }

    /// What was found wrong while the file was opened without an index.
    pub fn damage(&mut self) -> Result<JsValue, JsValue> {
        values::damage(self.file()?.damage())
    }

    /// Whether the list of chunks comes from the index.
    pub fn indexed(&mut self) -> Result<bool, JsValue> {
        Ok(self.file()?.is_indexed())
    }

    /// Length of the file.
    pub fn size(&mut self) -> Result<f64, JsValue> {
        Ok(self.file()?.byte_len() as f64)
    }

    /// The chunks of a stream of tokens.
    pub fn chunks(&mut self, stream: u16) -> Result<JsValue, JsValue> {
        let chunks = self.file()?.chunks(StreamId(stream));
        to_js(&chunks.iter().map(values::chunk_info).collect::<Vec<_>>())
    }

    /// Totals of each stream.
    pub fn totals(&mut self) -> Result<JsValue, JsValue> {
        to_js(&values::totals(&self.file()?.totals()))
    }

    /// Keys and values.
    pub fn metadata(&mut self) -> Result<JsValue, JsValue> {
        let found = self.file()?.metadata().map_err(|error| thrown(&error))?;
        to_js(&found.into_iter().map(values::metadata).collect::<Vec<_>>())
    }

    /// Chapters.
    pub fn chapters(&mut self) -> Result<JsValue, JsValue> {
        let found = self.file()?.chapters().map_err(|error| thrown(&error))?;
        to_js(&found.into_iter().map(values::chapter).collect::<Vec<_>>())
    }

    /// The tokens of a chunk, in at most `bits` planes.
    pub fn read(&mut self, stream: u16, number: u32, bits: u8) -> Result<JsValue, JsValue> {
        let file = self.file()?;
        let chunks = file.chunks(StreamId(stream));
        let Some(info) = chunks.get(number as usize).copied() else {
            let message = format!(
                "stream {stream} has {} chunks and no chunk {number}",
                chunks.len()
            );
            return Err(js_sys::RangeError::new(&message).into());
        };
        let chunk = file.read(&info, bits).map_err(|error| thrown(&error))?;
        to_js(&values::chunk(&chunk, info.offset))
    }

    /// Which chunks the frames `from` up to `to` need; null if the stream has none of these frames.
    #[wasm_bindgen(js_name = chunksFor)]
    pub fn chunks_for(&mut self, stream: u16, from: f64, to: f64) -> Result<JsValue, JsValue> {
        let frames = PixelFrames(count(from))..PixelFrames(count(to));
        let needed = self.file()?.chunks_for(StreamId(stream), frames);
        needed.map_or(Ok(JsValue::NULL), |needed| to_js(&values::needed(&needed)))
    }

    /// The first frame shown at or after a time in ticks.
    #[wasm_bindgen(js_name = frameAt)]
    pub fn frame_at(&mut self, stream: u16, time: i64) -> Result<f64, JsValue> {
        let frame = self.file()?.frame_at(StreamId(stream), time);
        frame.map(|frame| frame.0 as f64).map_err(|error| thrown(&error))
    }

    /// When a frame is shown, in ticks.
    #[wasm_bindgen(js_name = timeOf)]
    pub fn time_of(&mut self, stream: u16, frame: f64) -> Result<i64, JsValue> {
        let frame = PixelFrames(count(frame));
        self.file()?
            .time_of(StreamId(stream), frame)
            .map_err(|error| thrown(&error))
    }

    /// Packets that are heard or shown from tick `from` up to tick `to`.
    pub fn packets(&mut self, stream: u16, from: i64, to: i64) -> Result<JsValue, JsValue> {
        let packets = self.file()?.packets(StreamId(stream), from..to);
        let packets: Result<Vec<_>, Error> = packets.and_then(Iterator::collect);
        let packets = packets.map_err(|error| thrown(&error))?;
        to_js(&packets.into_iter().map(values::packet).collect::<Vec<_>>())
    }

    /// Checks everything that can be checked.
    pub fn verify(&self) -> Result<JsValue, JsValue> {
        let found = verify_file(self.input(), &self.limits).map_err(|error| thrown(&error))?;
        values::verification(&found)
    }

    /// Makes a whole file of what is left.
    pub fn recover(&self) -> Result<JsValue, JsValue> {
        let options = WriterOptions::default();
        let (bytes, found) =
            edit::recover(self.input(), Vec::new(), &self.limits, options).map_err(|error| thrown(&error))?;
        values::recovered(&bytes, &found)
    }

    /// Begins to read from the front, over all damage; gives the header.
    #[wasm_bindgen(js_name = beginEvents)]
    pub fn begin_events(&mut self) -> Result<JsValue, JsValue> {
        let reader = Reader::salvaging(self.input(), self.limits).map_err(|error| thrown(&error))?;
        let told = values::header_event(reader.header(), reader.version());
        self.events = Some(reader);
        told
    }

    /// The next event; the last one is of type "end". After an error there are no more.
    #[wasm_bindgen(js_name = nextEvent)]
    pub fn next_event(&mut self) -> Result<JsValue, JsValue> {
        let Some(reader) = &mut self.events else {
            return Err(js_sys::Error::new("no reading has begun").into());
        };
        loop {
            match reader.next_event().map_err(|error| thrown(&error))? {
                Some(event) => {
                    if let Some(told) = values::event(event, reader.last_chunk())? {
                        return Ok(told);
                    }
                }
                None => return values::end_event(reader.status(), reader.ended()),
            }
        }
    }
}

/// Reads a stream from front to back as its bytes come.
#[wasm_bindgen]
pub struct StreamParser {
    parser: Parser,
    told_header: bool,
}

#[wasm_bindgen]
impl StreamParser {
    /// `mode` is "strict", "resync" or "join".
    #[wasm_bindgen(constructor)]
    pub fn new(mode: &str, limits: JsValue) -> Result<StreamParser, JsValue> {
        let mode = match mode {
            "strict" => ReadMode::Strict,
            "resync" => ReadMode::Resync,
            "join" => ReadMode::Join,
            other => {
                let message = format!("mode: expected strict, resync or join, found {other}");
                return Err(js_sys::RangeError::new(&message).into());
            }
        };
        Ok(Self {
            parser: Parser::new(limits_of(limits)?, mode),
            told_header: false,
        })
    }

    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.parser.push(bytes);
    }

    /// Says that there are no more.
    pub fn finish(&mut self) {
        self.parser.finish();
    }

    /// The next event, or nothing if more bytes are needed; the last one is of type "end".
    pub fn next(&mut self) -> Result<Option<JsValue>, JsValue> {
        if !self.told_header {
            if !self.parser.poll_header().map_err(|error| thrown(&error))? {
                return Ok(None);
            }
            self.told_header = true;
            if let (Some(header), Some(version)) = (self.parser.header(), self.parser.version()) {
                return values::header_event(header, version).map(Some);
            }
        }
        loop {
            match self.parser.poll().map_err(|error| thrown(&error))? {
                Next::NeedInput => return Ok(None),
                Next::End => return values::end_event(self.parser.status(), self.parser.ended()).map(Some),
                Next::Event(event) => {
                    if let Some(told) = values::event(event, self.parser.last_chunk())? {
                        return Ok(Some(told));
                    }
                }
            }
        }
    }
}
