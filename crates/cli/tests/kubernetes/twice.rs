//! Ways back one after the other: never to what was bad, and each can be taken back.

use crate::shop::Shop;

fn belay(shop: &Shop, exit: i32, arguments: &[&str]) {
    shop.project.json(exit, arguments);
}

#[test]
fn bad_then_bad_then_back_to_the_good_one() {
    let shop = Shop::new();
    belay(&shop, 0, &["deploy"]);
    belay(&shop, 3, &["deploy", "--image", "shop/bad:2"]);
    belay(&shop, 3, &["deploy", "--image", "shop/bad:3"]);
    assert_eq!(shop.image(), "shop/api:1");
    belay(&shop, 0, &["deploy", "--image", "shop/api:4"]);
    // The two before it are bad.
    belay(&shop, 0, &["rollback", "--yes"]);
    assert_eq!(shop.image(), "shop/api:1");
}

#[test]
fn going_back_twice_never_leads_to_the_bad_one() {
    let shop = Shop::new();
    belay(&shop, 0, &["deploy"]);
    belay(&shop, 0, &["deploy", "--image", "shop/api:2"]);
    belay(&shop, 0, &["rollback", "--yes", "--reason", "no orders"]);
    assert_eq!(shop.image(), "shop/api:1");
    // There is nothing else that was good.
    let refused = shop.project.json(6, &["rollback", "--yes"]).to_string();
    assert!(refused.contains("\"E0"), "{refused}");
    assert_eq!(shop.image(), "shop/api:1");
}

#[test]
fn a_rollback_is_taken_back_and_that_is_taken_back_again() {
    let shop = Shop::new();
    belay(&shop, 0, &["deploy"]);
    shop.configure("debug", "");
    belay(&shop, 0, &["deploy", "--image", "shop/api:2"]);
    let here = || {
        let level = shop.given("configmap", "configMapRef")["LEVEL"].clone();
        (shop.image(), level.as_str().unwrap_or_default().to_owned())
    };
    let is = |image: &str, level: &str| assert_eq!(here(), (image.to_owned(), level.to_owned()));
    belay(&shop, 0, &["rollback", "--yes"]);
    is("shop/api:1", "info");
    belay(&shop, 0, &["rollback", "--undo", "--yes"]);
    is("shop/api:2", "debug");
    belay(&shop, 0, &["rollback", "--undo", "--yes"]);
    is("shop/api:1", "info");
}
