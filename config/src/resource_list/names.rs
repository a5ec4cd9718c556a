//! No two resources of a node can have one name.

use super::{Resource, ResourceList, ResourcePrefix};

/// Two resources have the same name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`resourceList[{second}]` is called {name} like `resourceList[{first}]`, expected a name of its own"
)]
pub struct DuplicateName {
    /// The whole name of the second one.
    pub name: String,
    /// Where the resource is that has the name.
    pub first: usize,
    /// Where the resource is that can't have it, too.
    pub second: usize,
}

impl ResourceList {
    /// The resources that are called like an earlier one, if those without a prefix get this one.
    #[must_use]
    pub fn duplicates(&self, default_prefix: &ResourcePrefix) -> Vec<DuplicateName> {
        let all = self.resources.iter().enumerate();
        let duplicates = all.filter_map(|(second, resource)| {
            let mut earlier = self.resources[..second].iter();
            let first = earlier.position(|other| resource.collides_with(other, default_prefix))?;
            let prefix = resource.prefix.as_ref().unwrap_or(default_prefix);
            Some(DuplicateName { name: format!("{prefix}/{}", resource.name), first, second })
        });
        duplicates.collect()
    }
}

impl Resource {
    /// Whether there can't be both. Links of shares are called after the resource alone.
    #[must_use]
    pub fn collides_with(&self, other: &Self, default_prefix: &ResourcePrefix) -> bool {
        let [own, others] = [self, other].map(|one| one.prefix.as_ref().unwrap_or(default_prefix));
        let have_shares = self.shares.is_some() && other.shares.is_some();
        self.name == other.name && (have_shares || own == others)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_resource_that_is_called_like_an_earlier_one_is_found() {
        let devices = |name: &str| json!({"resourceName": name, "selectors": {}});
        let shares =
            |name: &str| json!({"resourceName": name, "kind": "macvlan", "lowerDevice": "e"});
        let of = |prefix: &str, mut resource: serde_json::Value| {
            resource["resourcePrefix"] = json!(prefix);
            resource
        };
        let table = [
            (json!([devices("a"), devices("b"), devices("A")]), vec![]),
            (json!([devices("a"), of("x.io", devices("a"))]), vec![]),
            (
                json!([devices("a"), of("linkspan.dev", devices("a"))]),
                vec![("linkspan.dev/a", 0, 1)],
            ),
            (json!([of("x.io", devices("a")), of("x.io", shares("a"))]), vec![("x.io/a", 0, 1)]),
            (json!([shares("a"), of("x.io", devices("a"))]), vec![]),
            (json!([shares("a"), of("x.io", shares("a"))]), vec![("x.io/a", 0, 1)]),
            (
                json!([devices("b"), devices("a"), devices("a"), devices("a"), devices("b")]),
                vec![("linkspan.dev/a", 1, 2), ("linkspan.dev/a", 1, 3), ("linkspan.dev/b", 0, 4)],
            ),
        ];
        for (resources, expected) in table {
            let list = ResourceList::from_json(&json!({"resourceList": resources})).unwrap();
            let expected: Vec<_> = expected
                .into_iter()
                .map(|(name, first, second)| DuplicateName { name: name.to_owned(), first, second })
                .collect();
            assert_eq!(list.duplicates(&"linkspan.dev".parse().unwrap()), expected);
        }
    }
}
