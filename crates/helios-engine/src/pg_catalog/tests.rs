use super::{access, install, table_list};
use helios_planner::catalog::Catalog;
use helios_types::Type;

#[test]
fn every_table_of_the_list_is_installed_once() {
    let mut catalog = Catalog::default();
    install(&mut catalog);
    assert!(table_list::tables().len() > 140);
    assert_eq!(catalog.relations.len(), table_list::tables().len());
    for name in ["pg_class", "pg_type", "pg_constraint", "pg_stat_activity"] {
        assert!(
            catalog
                .relation_named(super::PG_CATALOG_SCHEMA, name)
                .is_some(),
            "{name}"
        );
    }
    for name in ["tables", "columns", "routines"] {
        assert!(
            catalog
                .relation_named(super::INFORMATION_SCHEMA, name)
                .is_some(),
            "{name}"
        );
    }
}

#[test]
fn facts_of_types_are_those_of_postgresql() {
    let text = access::type_facts(Type::TEXT.oid);
    assert_eq!((text.length, text.storage, text.collation), (-1, 'x', 100));
    let int8 = access::type_facts(Type::INT8.oid);
    assert_eq!((int8.length, int8.by_value, int8.align), (8, true, 'd'));
    assert_eq!(access::default_operator_class(Type::VARCHAR), 3126);
}
