//! Addresses on the web, as far as the hub and its redirects need them.

use std::fmt;

/// An address of HTTP or HTTPS. It is shown without its query, which can hold a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    secure: bool,
    /// Host and, unless it is the usual one, port.
    authority: String,
    /// Path and query, beginning with a slash.
    rest: String,
}

impl Address {
    /// Reads a whole address. One with a user or password is none, since addresses are shown and recorded.
    pub fn parse(text: &str) -> Option<Self> {
        let scheme = text.get(..text.find("://")?)?.to_ascii_lowercase();
        let (secure, usual_port) = match scheme.as_str() {
            "https" => (true, ":443"),
            "http" => (false, ":80"),
            _ => return None,
        };
        let text = text.get(scheme.len() + 3..)?;
        let text = text.split('#').next()?;
        let end = text.find(['/', '?']).unwrap_or(text.len());
        let (authority, rest) = text.split_at(end);
        let authority = authority.to_ascii_lowercase();
        let authority = authority.strip_suffix(usual_port).unwrap_or(&authority);
        let printable = |text: &str| text.bytes().all(|b| b.is_ascii_graphic());
        if authority.is_empty()
            || authority.starts_with(':')
            || authority.contains(['@', '\\'])
            || !printable(authority)
            || !printable(rest)
        {
            return None;
        }
        let slash = if rest.starts_with('/') { "" } else { "/" };
        Some(Self {
            secure,
            authority: authority.to_owned(),
            rest: format!("{slash}{rest}"),
        })
    }

    /// The address that `location` means in an answer from here.
    pub fn join(&self, location: &str) -> Option<Self> {
        let scheme = if self.secure { "https" } else { "http" };
        let has_scheme = location.find("://").is_some_and(|end| {
            let scheme = location.get(..end).unwrap_or_default();
            scheme.chars().all(|c| c.is_ascii_alphanumeric() || c == '+')
        });
        if has_scheme {
            return Self::parse(location);
        }
        if let Some(rest) = location.strip_prefix("//") {
            return Self::parse(&format!("{scheme}://{rest}"));
        }
        let base = match location.starts_with('/') {
            true => "",
            false => {
                let path = self.path();
                path.get(..=path.rfind('/')?)?
            }
        };
        Self::parse(&format!("{scheme}://{}{base}{location}", self.authority))
    }

    /// The address with `path` added, whose parts are percent-encoded here.
    pub fn below<'a>(&self, path: impl IntoIterator<Item = &'a str>) -> Self {
        let mut rest = self.path().trim_end_matches('/').to_owned();
        for part in path {
            rest.push('/');
            encode(part, &mut rest);
        }
        Self { rest, ..self.clone() }
    }

    /// Whether both are the same host, port and scheme.
    pub fn same_origin(&self, other: &Self) -> bool {
        self.secure == other.secure && self.authority == other.authority
    }

    /// Whether it is HTTPS.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// The whole address, with its query.
    pub fn full(&self) -> String {
        format!("{}{}{}", self.scheme(), self.authority, self.rest)
    }

    fn scheme(&self) -> &'static str {
        if self.secure { "https://" } else { "http://" }
    }

    fn path(&self) -> &str {
        self.rest.split('?').next().unwrap_or(&self.rest)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path();
        let path = if path == "/" { "" } else { path };
        write!(f, "{}{}{path}", self.scheme(), self.authority)
    }
}

fn encode(part: &str, out: &mut String) {
    for byte in part.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte.into()),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    #[test]
    fn addresses_are_read() {
        let a = address("HTTPS://Hub.Example:443/mirror/?sig=secret#part");
        assert_eq!(a.full(), "https://hub.example/mirror/?sig=secret");
        assert_eq!(a.to_string(), "https://hub.example/mirror/");
        assert_eq!(address("http://[::1]:8080").full(), "http://[::1]:8080/");
        assert_eq!(address("http://h?q").full(), "http://h/?q");
        for bad in [
            "",
            "hub.example",
            "ftp://h",
            "https://",
            "https:///x",
            "http://:80",
            "http://a@b/",
            "http://a b/",
            "http://h/a b",
            "http://h/\r\nX: y",
            "http://h\\@g/",
            "://h",
        ] {
            assert_eq!(Address::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn locations_are_followed() {
        let from = address("https://h/a/b?q=1");
        for (location, expected) in [
            ("https://g/x?y", "https://g/x?y"),
            ("//g/x", "https://g/x"),
            ("/x", "https://h/x"),
            ("x", "https://h/a/x"),
            ("/x?to=http://g", "https://h/x?to=http://g"),
        ] {
            assert_eq!(from.join(location).unwrap().full(), expected);
        }
        assert_eq!(from.join("ftp://g/"), None);
        assert_eq!(from.join("/a b"), None);
    }

    #[test]
    fn paths_are_encoded() {
        let below = address("http://h/mirror/").below(["o", "r", "resolve", "refs/pr/1", "a b?#.pth"]);
        assert_eq!(
            below.full(),
            "http://h/mirror/o/r/resolve/refs%2Fpr%2F1/a%20b%3F%23.pth"
        );
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let a = address("https://h/x");
        assert!(a.same_origin(&address("https://H:443/y")));
        for other in ["http://h/x", "https://h:444/x", "https://h.evil/x", "https://g/x"] {
            assert!(!a.same_origin(&address(other)), "{other}");
        }
    }
}
