//! Person lists as the register authority's GBA-V application exports them: semicolons, UTF-8, a column an element
//! with its number as header (`01.02.10`), and before them a column without a number that names the list. A line
//! where that column is empty continues the list above it with earlier states and further relatives: the present
//! state is on the first line, so such lines are read past.

use std::io::Read;

use csv::{ByteRecord, ReaderBuilder};

use super::lines::LineFeeds;
use super::register::{Element, Entry, Standing, lives_at, name};
use super::rows::io_error;
use super::tally::Tally;
use super::value::{Keys, check_text, today};
use super::{LineError, Problem, ReadError, sex};
use crate::encode::{Address, BadAddress, Dates, Person};

const ID: &str = "1, the name of the list";

/// Reads all lists.
pub(super) fn entries<R: Read>(from: R, file: &str) -> Result<(Vec<Entry>, usize), ReadError> {
    let mut reader = ReaderBuilder::new().delimiter(b';').flexible(true).from_reader(LineFeeds::new(from));
    let header = reader.byte_headers().map_err(|error| io_error(file, error))?.clone();
    let places = places(&header, file)?;
    let (mut record, mut keys, mut earlier) = (ByteRecord::new(), Keys::default(), 0);
    let mut lists = Tally::default();
    let dates = Dates::of_register(today());
    loop {
        let line = reader.position().line();
        match reader.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(_) => {
                lists.bad(LineError { line, column: None, problem: Problem::Io });
                break;
            }
        }
        let line = record.position().map_or(line, csv::Position::line);
        let list = List { record: &record, places: &places, line, dates };
        let any_above = !lists.good.is_empty() || !lists.is_clean();
        match list.check(header.len(), &mut keys, any_above).and_then(|first| first.then(|| list.entry()).transpose()) {
            Ok(Some(entry)) => lists.good.push(entry),
            Ok(None) => earlier += 1,
            Err(error) => lists.bad(error),
        }
    }
    Ok((lists.finish_lines(file)?, earlier))
}

/// Where each element is.
type Places = [usize; Element::ALL.len()];

fn places(header: &ByteRecord, name: &str) -> Result<Places, ReadError> {
    let name = || name.to_owned();
    if header.iter().all(<[u8]>::is_empty) {
        return Err(ReadError::Empty { name: name() });
    }
    if header.len() == 1 && header[0].contains(&b',') {
        return Err(ReadError::GbavDelimiter { name: name() });
    }
    let numbers: Vec<String> = header.iter().map(number).collect();
    if numbers[0].len() == 6 {
        return Err(ReadError::NoListColumn { name: name() });
    }
    let mut places = [0; Element::ALL.len()];
    for (place, element) in places.iter_mut().zip(Element::ALL) {
        let wanted = number(&element.label().as_bytes()[..8]);
        let mut found = numbers.iter().enumerate().filter(|(_, number)| **number == wanted).map(|(at, _)| at);
        let column = element.label();
        *place = found.next().ok_or_else(|| ReadError::MissingColumn { name: name(), column })?;
        if found.next().is_some() {
            return Err(ReadError::TwiceColumn { name: name(), column });
        }
    }
    Ok(places)
}

/// The six digits of an element's number, written `01.02.10`, `010210` or `10210`; empty if it is none.
fn number(header: &[u8]) -> String {
    let digits: String = String::from_utf8_lossy(header).trim().trim_start_matches('\u{feff}').replace('.', "");
    if (5..=6).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        format!("{digits:0>6}")
    } else {
        String::new()
    }
}

/// One line.
struct List<'a> {
    record: &'a ByteRecord,
    places: &'a Places,
    line: u64,
    dates: Dates,
}

impl List<'_> {
    fn bad(&self, column: &'static str, problem: Problem) -> LineError {
        LineError { line: self.line, column: Some(column), problem }
    }

    /// Checks the shape of a line; tells whether a list begins on it. Without one above it, it has to.
    fn check(&self, want: usize, keys: &mut Keys, any_above: bool) -> Result<bool, LineError> {
        let at_line = |problem| LineError { line: self.line, column: None, problem };
        if self.record.iter().any(|value| value.contains(&b'\n')) {
            return Err(at_line(Problem::Control));
        }
        if self.record.len() != want {
            return Err(at_line(Problem::RaggedSemicolons { want, got: self.record.len() }));
        }
        let id = self.id()?;
        if id.is_empty() {
            return if any_above { Ok(false) } else { Err(self.bad(ID, Problem::Empty)) };
        }
        keys.add([id], self.line).map_err(|first| self.bad(ID, Problem::Duplicate { first }))?;
        Ok(true)
    }

    fn id(&self) -> Result<&str, LineError> {
        value(&self.record[0]).map_err(|problem| self.bad(ID, problem))
    }

    fn text(&self, element: Element) -> Result<&str, LineError> {
        value(&self.record[self.places[element as usize]]).map_err(|problem| self.bad(element.label(), problem))
    }

    fn name(&self, element: Element) -> Result<String, LineError> {
        Ok(name(self.text(element)?).to_owned())
    }

    fn entry(&self) -> Result<Entry, LineError> {
        let address = self.address()?;
        let person = Person {
            given_names: self.name(Element::GivenNames)?,
            surname: self.name(Element::Surname)?,
            partner_surname: self.name(Element::PartnerSurname)?,
            birth: self
                .dates
                .birth(self.text(Element::Birth)?)
                .map_err(|error| self.bad(Element::Birth.label(), error.into()))?,
            sex: sex(self.text(Element::Sex)?).map_err(|problem| self.bad(Element::Sex.label(), problem))?,
            ..Person::default()
        };
        let lives_at = lives_at(address.as_ref(), self.text(Element::AddressKind)?);
        let standing = Standing::new(
            self.text(Element::Suspension)?,
            self.text(Element::Death)?,
            self.text(Element::Restriction)?,
        );
        Ok(Entry { id: self.id()?.to_owned(), person: Person { address, ..person }, lives_at, standing })
    }

    fn address(&self) -> Result<Option<Address>, LineError> {
        let parts = [Element::Letter, Element::Addition, Element::Side];
        let mut suffix = String::new();
        for part in parts {
            suffix = suffix + self.text(part)? + " ";
        }
        let (postcode, number) = (self.text(Element::Postcode)?, self.text(Element::Number)?);
        let address = Address::parse(postcode, number, &suffix).map_err(|error| {
            let element = if error == BadAddress::Postcode { Element::Postcode } else { Element::Number };
            self.bad(element.label(), error.into())
        })?;
        let street = self.text(Element::Street)?.to_owned();
        Ok(address.map(|address| address.with_street(street)))
    }
}

/// A value without surrounding spaces.
fn value(bytes: &[u8]) -> Result<&str, Problem> {
    let text = std::str::from_utf8(bytes).map_err(|_| Problem::Encoding)?.trim();
    check_text(text)?;
    Ok(text)
}
