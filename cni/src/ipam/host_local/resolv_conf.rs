//! The DNS of a result, out of a file like `/etc/resolv.conf` (resolv.conf(5)).

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use linkspan_config::net_conf::Dns;

use super::error::ResolvConfError;

/// No more of the file is read than this; real ones have a few lines.
const LIMIT: u64 = 64 << 10;

pub(super) fn read(path: &Path) -> Result<Dns, ResolvConfError> {
    let mut text = String::new();
    match File::open(path).and_then(|file| file.take(LIMIT).read_to_string(&mut text)) {
        Ok(_) => Ok(parse(&text)),
        Err(source) => Err(ResolvConfError { path: path.to_owned(), source }),
    }
}

fn parse(text: &str) -> Dns {
    let mut dns = Dns::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let key = words.next().unwrap_or_default();
        let mut values = words.take_while(|word| !word.starts_with(['#', ';'])).map(str::to_owned);
        match key {
            "nameserver" => dns.nameservers.extend(values.next()),
            "domain" => dns.domain = values.next().or(dns.domain),
            "search" => dns.search.extend(values),
            "options" => dns.options.extend(values),
            _ => {}
        }
    }
    dns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_read_and_comments_are_not() {
        let text = "# nameserver 10.0.0.9\n; options x\nnameserver 10.0.0.1 # first\n\
                    nameserver fd00::1\ndomain a.b\nsearch a.b c.d\noptions ndots:5 edns0\n\
                    nameserver\nsortlist 10.0.0.0\n";
        let texts = |all: &[&str]| all.iter().map(|&text| text.to_owned()).collect();
        let dns = Dns {
            nameservers: texts(&["10.0.0.1", "fd00::1"]),
            domain: Some("a.b".to_owned()),
            search: texts(&["a.b", "c.d"]),
            options: texts(&["ndots:5", "edns0"]),
        };
        assert_eq!(parse(text), dns);
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = read(Path::new("/nowhere/resolv.conf")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`ipam.resolvConf` is \"/nowhere/resolv.conf\", expected a file that can be read"
        );
    }
}
