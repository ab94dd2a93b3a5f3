use super::{of_expression, of_type};
use proc_macro2::{Delimiter, Group, Ident, Punct, Spacing, Span, TokenStream, TokenTree};

/// The same tokens as other ways of writing them give them: puncts of types apart where they can
/// be, and wrapped in groups without delimiters.
fn respelled(tokens: TokenStream, wrap: bool) -> TokenStream {
    let mut out: Vec<TokenTree> = Vec::new();
    for token in tokens {
        match token {
            TokenTree::Group(group) => {
                let mut again = Group::new(group.delimiter(), respelled(group.stream(), wrap));
                again.set_span(Span::call_site());
                out.push(again.into());
            }
            TokenTree::Punct(mark) => {
                // A `>` or a `&` is told from `>>` and `&&` only in expressions.
                let apart = matches!(mark.as_char(), '>' | '<' | ',' | ';' | '*');
                let spacing = if apart { Spacing::Alone } else { mark.spacing() };
                out.push(Punct::new(mark.as_char(), spacing).into());
            }
            token @ TokenTree::Literal(_) if wrap => {
                out.push(Group::new(Delimiter::None, token.into()).into());
            }
            token => out.push(token),
        }
    }
    let tokens: TokenStream = out.into_iter().collect();
    if wrap { TokenTree::from(Group::new(Delimiter::None, tokens)).into() } else { tokens }
}

fn type_text(source: &str) -> String {
    let tokens: TokenStream = source.parse().expect("tokens");
    let text = of_type(tokens.clone());
    assert_eq!(text, of_type(respelled(tokens.clone(), false)), "{source}");
    assert_eq!(text, of_type(respelled(tokens, true)), "{source}");
    // The text is a fixed point.
    assert_eq!(text, of_type(text.parse().expect("tokens")), "{source}");
    text
}

fn expression_text(source: &str) -> String {
    let tokens: TokenStream = source.parse().expect("tokens");
    let text = of_expression(tokens.clone());
    let wrapped = TokenTree::from(Group::new(Delimiter::None, tokens)).into();
    assert_eq!(text, of_expression(wrapped), "{source}");
    assert_eq!(text, of_expression(text.parse().expect("tokens")), "{source}");
    text
}

#[test]
fn types_have_one_spelling() {
    for (spellings, text) in [
        (&["u64"][..], "u64"),
        (&["()", "( )"], "()"),
        (&["(u8)"], "(u8)"),
        (&["(u8,)", "( u8 , )"], "(u8,)"),
        (&["(A<B, C>,)"], "(A<B, C>,)"),
        (&["(A<B>,C,)", "(A<B>, C)"], "(A<B>, C)"),
        (&["(A<fn()->B,C>,)"], "(A<fn() -> B, C>,)"),
        (&["(u8,u16,)", "(u8 , u16)"], "(u8, u16)"),
        (&["Vec<(u8,u8)>", "Vec < (u8 , u8) >", "Vec<(u8,u8,),>"], "Vec<(u8, u8)>"),
        (&["Vec<Vec<u8>>", "Vec<Vec<u8> >"], "Vec<Vec<u8>>"),
        (&["&str", "& str", "&'a str", "&'static str"], "&str"),
        (&["&&str", "& &str", "&'a &'b str"], "&&str"),
        (&["&'a mut T", "&mut T"], "&mut T"),
        (&["&mut [u8]", "&'a mut[u8]"], "&mut [u8]"),
        (&["[u8;4]", "[u8 ; 4]"], "[u8; 4]"),
        (&["[u8; N+1]"], "[u8; N + 1]"),
        (&["Cow<'a, str>", "Cow<'_,str>", "Cow<str>"], "Cow<str>"),
        (&["Ref<'a>", "Ref<'_>", "Ref<>", "Ref"], "Ref"),
        (&["Ref<'a, 'b>", "Ref::<'a>"], "Ref"),
        (&["a::b::Ref::<'a>", "a::b::Ref"], "a::b::Ref"),
        (&["Ref<'a, 'b, T>", "Ref<T,>"], "Ref<T>"),
        (&["::std::vec::Vec<u8>", ":: std :: vec :: Vec < u8 >"], "::std::vec::Vec<u8>"),
        (&["dyn ::a::B"], "dyn ::a::B"),
        (
            &["Box<dyn Fn(u8,)->u8+Send+'static>", "Box<dyn Fn(u8) -> u8 + Send>"],
            "Box<dyn Fn(u8) -> u8 + Send>",
        ),
        (&["&'a (dyn Shop + 'a)", "&(dyn Shop)"], "&(dyn Shop)"),
        (&["dyn 'a + Shop", "dyn Shop"], "dyn Shop"),
        (&["impl Serialize+'async_trait", "impl Serialize"], "impl Serialize"),
        (&["impl for<'a> Fn(&'a u8)", "impl Fn(&u8)"], "impl Fn(&u8)"),
        (&["for<'a> fn(&'a u8)", "fn(& u8)"], "fn(&u8)"),
        (&["fn(u8,u8)->(u8,u8)"], "fn(u8, u8) -> (u8, u8)"),
        (&["unsafe extern \"C\" fn(u8)"], "unsafe extern \"C\" fn(u8)"),
        (&["<T as Iterator>::Item", "< T as Iterator > :: Item"], "<T as Iterator>::Item"),
        (&["Vec<<T as Iterator>::Item>"], "Vec<<T as Iterator>::Item>"),
        (&["fn(u8)-><T as A>::B"], "fn(u8) -> <T as A>::B"),
        (&["impl Iterator<Item=u8>"], "impl Iterator<Item = u8>"),
        (&["impl Iterator<Item=&'a str>"], "impl Iterator<Item = &str>"),
        (&["impl Iterator<Item: Copy>"], "impl Iterator<Item: Copy>"),
        (&["*const u8", "* const u8"], "*const u8"),
        (&["Option<*mut u8>"], "Option<*mut u8>"),
        (&["A<{N+1}>", "A<{ N + 1 }>"], "A<{ N + 1 }>"),
        (&["A<-1>"], "A<-1>"),
        (&["A<true, 'c'>"], "A<true, 'c'>"),
        (&["r#type", "r#type<>"], "r#type"),
        (&["impl ?Sized+Copy"], "impl ?Sized + Copy"),
        (&["!"], "!"),
        (&["_"], "_"),
        (&["m!(a)"], "m!(a)"),
        (&["Self"], "Self"),
        (&["super::Order"], "super::Order"),
    ] {
        for spelling in spellings {
            assert_eq!(type_text(spelling), text, "{spelling}");
        }
    }
}

#[test]
fn expressions_have_one_spelling() {
    for (spellings, text) in [
        (&["order_id"][..], "order_id"),
        (&["self.id", "self . id"], "self.id"),
        (&["order.lines[0].0", "order . lines [0] . 0"], "order.lines[0].0"),
        (&["pair.0.1"], "pair.0.1"),
        (&["&order.id", "& order.id"], "&order.id"),
        (&["&mut *a"], "&mut *a"),
        (&["a+b", "a + b"], "a + b"),
        (&["a - -b", "a- -b"], "a - -b"),
        (&["a&&b"], "a && b"),
        (&["a& &b"], "a & &b"),
        (&["a||!b"], "a || !b"),
        (&["a<b", "a < b"], "a < b"),
        (&["f(a<b)", "f(a < b)"], "f(a < b)"),
        (&["m::MOST<a"], "m::MOST < a"),
        (&["a|b|c"], "a | b | c"),
        (&["::m::f(a)|b"], "::m::f(a) | b"),
        (&["a>>1"], "a >> 1"),
        (&["a>=1"], "a >= 1"),
        (&["a as u64", "a  as u64"], "a as u64"),
        (&["a as Vec<u8>"], "a as Vec<u8>"),
        (&["a as m::Vec<u8>"], "a as m::Vec<u8>"),
        (&["a as u8+b<c"], "a as u8 + b < c"),
        (&["f(a,b,)", "f( a , b )"], "f(a, b)"),
        (&["f((a,))", "f((a,),)"], "f((a,))"),
        (&["a.iter().map(|x|x+1).collect::<Vec<_>>()"], "a.iter().map(|x| x + 1).collect::<Vec<_>>()"),
        (&["a.map(|(x,y)|x|y)"], "a.map(|(x, y)| x | y)"),
        (&["f(||a)", "f(|| a)"], "f(|| a)"),
        (&["f(move|x|x)"], "f(move |x| x)"),
        (&["f(|x|->u8{x})"], "f(|x| -> u8 { x })"),
        (&["<T as Named>::name(&a)"], "<T as Named>::name(&a)"),
        (&["Vec::<Vec<u8>>::from(a)"], "Vec::<Vec<u8>>::from(a)"),
        (&["Vec::<(Vec<u8>,u8)>::from(a)"], "Vec::<(Vec<u8>, u8)>::from(a)"),
        (&["Vec::<u8>::new().len()<a"], "Vec::<u8>::new().len() < a"),
        (&["Vec::<u8>::new().len()>a"], "Vec::<u8>::new().len() > a"),
        (&["a+<T as Named>::ID"], "a + <T as Named>::ID"),
        (&["Point{x,y:1}", "Point { x, y: 1, }"], "Point { x, y: 1 }"),
        (&["if a{1}else{2}"], "if a { 1 } else { 2 }"),
        (&["match a{Some(x)=>x,None=>0,}"], "match a { Some(x) => x, None => 0 }"),
        (&["format!(\"{a}-{}\",b)"], "format!(\"{a}-{}\", b)"),
        (&["matches!(a,Some(_))"], "matches!(a, Some(_))"),
        (&["vec![a,b]"], "vec![a, b]"),
        (&["a+m!(b,)"], "a + m!(b)"),
        (&["m!((>a,))"], "m!((> a,))"),
        (&["a[1..3]", "a[1 .. 3]"], "a[1..3]"),
        (&["f(a,..b)", "f(a, .. b)"], "f(a, ..b)"),
        (&["(a,b)"], "(a, b)"),
        (&["[a,b]"], "[a, b]"),
        (&["a.b?.c"], "a.b?.c"),
        (&["r#type.r#in"], "r#type.r#in"),
        (&["crate::f(a)"], "crate::f(a)"),
        (&["::m::f(a)"], "::m::f(a)"),
        (&["unsafe{f(a)}"], "unsafe { f(a) }"),
    ] {
        for spelling in spellings {
            assert_eq!(expression_text(spelling), text, "{spelling}");
        }
    }
}

#[test]
fn an_identifier_is_one_word() {
    let word: TokenStream = TokenTree::from(Ident::new("order", Span::call_site())).into();
    assert_eq!(of_expression(word), "order");
}
