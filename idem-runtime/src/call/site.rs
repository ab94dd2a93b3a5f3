//! Call sites: where a function is annotated or called by name, its text, and the register that finds two
//! functions under one text.

use std::any::type_name_of_val;
use std::collections::HashMap;
use std::panic::Location;
use std::sync::{Mutex, OnceLock, PoisonError};

use super::Options;
use crate::token::signature;
use crate::{Error, Text};

/// One annotated function: what its attribute says that is known when the program is compiled.
#[derive(Debug)]
pub struct Site {
    name: Option<&'static str>,
    what: &'static str,
    pub(crate) options: Options,
    file: &'static str,
    line: u32,
    column: u32,
    /// The instance that was called first; most functions have no other.
    first: OnceLock<Instance>,
}

/// A function with its concrete types: its text, and what was found out about it once.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) site: &'static Site,
    type_name: &'static str,
    text: Text,
    /// Whether its text is its own.
    checked: OnceLock<Result<(), Text>>,
    /// Whether its first result was looked at.
    pub(crate) proved: OnceLock<()>,
    /// Whether a text that may change was warned about.
    pub(crate) warned: OnceLock<()>,
}

impl Site {
    /// A function with a name of its own. `what` tells its arguments, or the key's expressions.
    #[must_use]
    pub const fn named(name: &'static str, what: &'static str, options: Options) -> Self {
        Site { name: Some(name), what, options, file: "", line: 0, column: 0, first: OnceLock::new() }
    }

    /// A function that is known by its signature text: its path and `what`.
    #[must_use]
    pub const fn derived(what: &'static str, options: Options) -> Self {
        Site { name: None, what, options, file: "", line: 0, column: 0, first: OnceLock::new() }
    }

    /// Where it stands.
    #[must_use]
    pub const fn at(mut self, file: &'static str, line: u32, column: u32) -> Self {
        self.file = file;
        self.line = line;
        self.column = column;
        self
    }

    fn instance(&'static self, type_name: &'static str) -> Instance {
        let (path, types) = signature::of_closure(type_name);
        let of_type = signature::of_type(path);
        let text = match self.name {
            Some(name) if types.is_empty() && of_type.is_empty() => Text::from_static(name),
            // Kept for the rest of the process, once for each function, so that threads do not meet on a counter.
            Some(name) => Text::from_static(format!("{name}{of_type}{types}").leak()),
            None => Text::from_static(format!("{path}{}{types}", self.what).leak()),
        };
        Instance {
            site: self,
            type_name,
            text,
            checked: OnceLock::new(),
            proved: OnceLock::new(),
            warned: OnceLock::new(),
        }
    }

    /// Whether the text is the compiler's and may change with it.
    pub(crate) fn is_derived(&self) -> bool {
        self.name.is_none()
    }
}

/// What is called: an annotated function, or a name.
///
/// Made from a `&'static str` or a `String`.
#[derive(Debug, Clone)]
pub struct Function(pub(crate) Called);

#[derive(Debug, Clone)]
pub(crate) enum Called {
    Annotated(&'static Instance),
    Named { text: Text, place: &'static Location<'static> },
}

impl From<&'static str> for Function {
    fn from(name: &'static str) -> Self {
        Function::named(name.into())
    }
}

impl From<String> for Function {
    fn from(name: String) -> Self {
        Function::named(name.into())
    }
}

impl Function {
    /// Where it is called is not known before [`Function::called_at`].
    fn named(text: Text) -> Self {
        Function(Called::Named { text, place: Location::caller() })
    }

    /// With the place of the call, where it is no annotated function.
    pub(crate) fn called_at(mut self, at: &'static Location<'static>) -> Self {
        if let Called::Named { place, .. } = &mut self.0 {
            *place = at;
        }
        self
    }
}

/// The function that a site stands in, with its concrete types, which the type name of a closure in it tells.
#[inline]
pub fn here<T: ?Sized>(site: &'static Site, closure: &T) -> Function {
    of(site, type_name_of_val(closure))
}

/// Not part of [`here`], which is compiled once for each annotated function.
#[inline]
fn of(site: &'static Site, type_name: &'static str) -> Function {
    let first = site.first.get_or_init(|| site.instance(type_name));
    // One text in the program has one address nearly always; another address costs a look at the bytes.
    if std::ptr::eq(first.type_name, type_name) || first.type_name == type_name {
        return Function(Called::Annotated(first));
    }
    Function(Called::Annotated(other_instance(site, type_name)))
}

/// An instance of a generic function that was not the first to be called: kept for the rest of the process.
fn other_instance(site: &'static Site, type_name: &'static str) -> &'static Instance {
    type Instances = HashMap<(usize, &'static str), &'static Instance>;
    static OTHERS: OnceLock<Mutex<Instances>> = OnceLock::new();
    let mut others = OTHERS.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    others
        .entry((std::ptr::from_ref(site) as usize, type_name))
        .or_insert_with(|| Box::leak(Box::new(site.instance(type_name))))
}

impl Called {
    #[inline]
    pub(crate) fn text(&self) -> &Text {
        match self {
            Called::Annotated(instance) => &instance.text,
            Called::Named { text, .. } => text,
        }
    }

    pub(crate) fn instance(&self) -> Option<&'static Instance> {
        match self {
            Called::Annotated(instance) => Some(instance),
            Called::Named { .. } => None,
        }
    }

    /// The name of the argument at this position (from 0), as far as it is known.
    pub(crate) fn argument(&self, position: usize) -> Text {
        let known = self.instance().and_then(|instance| signature::argument(instance.site.what, position));
        known.map_or_else(|| format!("#{}", position + 1).into(), |name| name.to_owned().into())
    }

    /// Refuses a text that another call site has taken before.
    #[inline]
    pub(crate) fn check(&self, arguments: usize) -> Result<(), Error> {
        let checked = match self {
            Called::Annotated(instance) => match instance.checked.get() {
                Some(Ok(())) => return Ok(()),
                Some(refused) => refused.clone(),
                None => {
                    instance.checked.get_or_init(|| register(Entry::annotated(instance, arguments))).clone()
                }
            },
            Called::Named { text, place } => check_named(text, place, arguments),
        };
        checked.map_err(|message| Error::misuse(self.text().clone(), message))
    }
}

/// One call site as the register knows it.
#[derive(Debug, Clone)]
struct Entry {
    text: Text,
    /// What tells call sites apart.
    identity: usize,
    place: String,
    /// Of an annotated function: its arguments or key expressions, and its path with the concrete types.
    function: Option<(&'static str, &'static str)>,
    derived: bool,
    arguments: usize,
}

impl Entry {
    fn annotated(instance: &'static Instance, arguments: usize) -> Self {
        let site = instance.site;
        Entry {
            text: instance.text.clone(),
            identity: std::ptr::from_ref(site) as usize,
            place: format!("{}:{}:{}", site.file, site.line, site.column),
            function: Some((site.what, instance.type_name)),
            derived: site.is_derived(),
            arguments,
        }
    }

    /// Why both cannot be called by one text.
    fn conflict(&self, first: &Entry) -> Option<String> {
        let differ = match (self.function, first.function) {
            (Some((_, path)), Some((_, first_path))) if self.identity == first.identity => {
                return (path != first_path).then(|| {
                    format!(
                        "one `name` stands for a function of several types, `{first_path}` and `{path}` at {}; leave \
                         `name` out, so that the type is part of the text",
                        self.place
                    )
                });
            }
            (Some(_), Some(_)) if self.derived || first.derived => "they are two functions",
            (Some((what, _)), Some((first_what, _))) if what != first_what => {
                "their arguments or keys differ"
            }
            (Some(_), Some(_)) => return None,
            _ if self.place == first.place || self.arguments == first.arguments => return None,
            _ => "they make the token of another number of values",
        };
        Some(format!(
            "two call sites have this one text, and {differ}: {} and {}; give one of them another `name`",
            first.place, self.place
        ))
    }
}

/// So many texts are remembered; names that are made at run time must not fill the memory.
const MOST_TEXTS: usize = 100_000;

fn register(entry: Entry) -> Result<(), Text> {
    static REGISTER: OnceLock<Mutex<HashMap<Text, Entry>>> = OnceLock::new();
    let mut register = REGISTER.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    let Some(first) = register.get(&entry.text) else {
        if register.len() < MOST_TEXTS {
            register.insert(entry.text.clone(), entry);
        }
        return Ok(());
    };
    match entry.conflict(first) {
        None => Ok(()),
        Some(why) => Err(Text::from(why)),
    }
}

/// Checks a call by name; each thread remembers which ones it has seen.
fn check_named(text: &Text, place: &'static Location<'static>, arguments: usize) -> Result<(), Text> {
    use std::cell::{Cell, RefCell};
    use std::collections::HashSet;
    thread_local! {
        static SEEN: RefCell<HashSet<(usize, Text, usize)>> = RefCell::default();
        /// The last one whose text is part of the program, by its address: no text needs to be looked at.
        static LAST: Cell<(usize, (usize, usize), usize)> = const { Cell::new((0, (0, 0), 0)) };
    }
    let identity = std::ptr::from_ref(place) as usize;
    let last = text.address().map(|address| (identity, address, arguments));
    if last.is_some() && LAST.try_with(Cell::get).ok() == last {
        return Ok(());
    }
    let key = (identity, text.clone(), arguments);
    if SEEN.try_with(|seen| seen.borrow().contains(&key)).unwrap_or(false) {
        if let Some(last) = last {
            let _ = LAST.try_with(|cell| cell.set(last));
        }
        return Ok(());
    }
    register(Entry {
        text: text.clone(),
        identity,
        place: place.to_string(),
        function: None,
        derived: false,
        arguments,
    })?;
    let _ = SEEN.try_with(|seen| {
        let mut seen = seen.borrow_mut();
        if seen.len() >= 1_000 {
            seen.clear();
        }
        seen.insert(key);
    });
    Ok(())
}
