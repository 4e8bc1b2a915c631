//! Looking at films before anything is learnt from them: `explore` and `preview`.

use std::fs;
use std::path::Path;

use crate::common::{FILMS, arg, conforms, copy, done, files, lungfish, refused, run, said, split, temporary, text};
use lungfish_data::{Channels, DecodeOptions, Decoding, decode_file};
use serde_json::Value;

/// Width and height in the header of a PNG.
fn png_size(path: &Path) -> (u32, u32) {
    let bytes = fs::read(path).unwrap();
    assert!(bytes.starts_with(b"\x89PNG\r\n\x1a\n"), "{}", path.display());
    let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    (number(16), number(20))
}

#[test]
fn explore_counts_what_there_is_in_a_table_and_as_json() {
    let folder = temporary();
    let films = folder.path().join("films");
    copy(&FILMS, &films);
    let normal = split(&films, "train/NORMAL");
    fs::write(&normal[0], b"<html>").unwrap();
    fs::copy(&normal[1], films.join("test/PNEUMONIA/copy.png")).unwrap();

    let there = files(folder.path());

    let table = done(&["explore", arg(&films)]);
    let line = |start: &str| {
        let line = table.lines().find(|line| line.starts_with(start));
        line.unwrap_or_else(|| panic!("{start} is not in\n{table}")).split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert!(table.starts_with(&format!("120 films in {}\n", arg(&films))), "{table}");
    assert_eq!(line("class"), "class train val test all share patients mean gray");
    let normal_films = normal.len() - 1;
    assert!(line("NORMAL").starts_with(&format!("NORMAL {normal_films} 7 7 {} ", normal_films + 14)), "{table}");
    assert!(line("unreadable").starts_with("unreadable 1 0 0 1"), "{table}");
    assert!(line("Files").contains("120 PNG gray, 8 bits"), "{table}");
    assert!(line("Copies").contains("1 film with the pixels of an earlier one"), "{table}");
    assert!(
        line("Copies").contains("2 have the same on another split too; 2 have the same in another class too"),
        "{table}"
    );
    assert!(line("Synthetic").contains("all films") && line("Synthetic").contains("X-rays of nobody"), "{table}");
    assert!(table.contains(&format!("  {}: not an image", arg(&normal[0]))), "{table}");
    assert!(table.lines().all(|line| line == line.trim_end()));

    let report: Value = serde_json::from_str(&done(&["explore", arg(&films), "--json"])).unwrap();
    assert_eq!((&report["films"], &report["synthetic"]), (&120.into(), &120.into()));
    assert_eq!(report["splits"][0]["split"], "train");
    assert_eq!(report["splits"][0]["films"][0], normal_films);
    assert_eq!(report["unreadable"][0]["path"], arg(&normal[0]));
    conforms(&report, "explore");
    assert_eq!(report["classes"][1]["name"], "PNEUMONIA");
    assert_eq!(report["classes"][0]["intensity"].as_array().unwrap().len(), 256);
    assert_eq!(report["kinds"][0]["mode"], "gray");
    assert_eq!(report["pictures"], serde_json::json!([]));
    assert_eq!(files(folder.path()), there, "nothing is written unasked");
}

#[test]
fn audit_says_what_is_wrong_with_a_data_set_and_ends_so() {
    let folder = temporary();
    let films = folder.path().join("films");
    copy(&FILMS, &films);
    let table = done(&["audit", "--data", arg(&films)]);
    assert!(table.starts_with(&format!("120 films in {}\n", arg(&films))), "{table}");
    assert!(table.contains("Leakage: patients: none is on two splits"), "{table}");
    assert!(table.contains("Leakage: copies: none on two splits or in two classes"), "{table}");
    assert!(table.contains("image statistics") && table.contains("Drift: "), "{table}");
    assert!(table.contains("near-copies (cropped, mirrored, saved anew, other gray levels): none found"), "{table}");
    assert!(table.contains(" of 120 films are doubtful"), "{table}");

    let twin = split(&films, "test/PNEUMONIA").remove(0);
    fs::copy(&twin, films.join("train/PNEUMONIA/twin.png")).unwrap();
    let output = run(&["audit", "--data", arg(&films), "--no-suspects"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let table = text(&output.stdout);
    assert!(table.contains("Leakage: copies: 2 films of the same pixels on two splits, 0 in two classes"), "{table}");
    assert!(table.contains(arg(&twin)) && table.contains("twin.png") && !table.contains("Labels: "), "{table}");
    let report: Value = serde_json::from_str(&text(&run(&["audit", "--data", arg(&films), "--json"]).stdout)).unwrap();
    assert_eq!(report["leakage"]["copies_on_two_splits"], 2);
    conforms(&report, "audit");
    refused(&run(&["audit", "--data", arg(&films), "--set", "epochs=3"]), &["epochs has no part in looking at films"]);
}

#[test]
fn an_audit_is_written_up_with_its_pictures() {
    let folder = temporary();
    let (films, out) = (folder.path().join("films"), folder.path().join("audit"));
    copy(&FILMS, &films);
    // A film saved anew with other gray levels, mirrored, on another split.
    let gray = DecodeOptions { channels: Channels::Gray, decoding: Decoding::DEFAULT };
    let film = decode_file(&split(&films, "test/PNEUMONIA").remove(0), gray).unwrap();
    let mirrored = film.pixels.chunks(film.width).flat_map(|row| row.iter().rev().map(|v| v.saturating_add(12)));
    let file = fs::File::create(films.join("train/PNEUMONIA/twin.png")).unwrap();
    let mut encoder = png::Encoder::new(file, film.width as u32, film.height as u32);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.write_header().unwrap().write_image_data(&mirrored.collect::<Vec<u8>>()).unwrap();
    let command = ["audit", "--data", arg(&films), "--out", arg(&out)];
    let output = run(&command);
    assert_eq!(output.status.code(), Some(1), "it is a near-copy: {}", said(&output));
    assert!(
        text(&output.stdout).ends_with(&format!("Written: {}\n", arg(&out.join("audit.html")))),
        "{}",
        said(&output)
    );
    let written: Value = serde_json::from_slice(&fs::read(out.join("audit.json")).unwrap()).unwrap();
    conforms(&written, "audit");
    assert_eq!(
        (&written["leakage"]["near_copies"], &written["leakage"]["near"][0]["mirrored"]),
        (&1.into(), &true.into())
    );
    let page = fs::read_to_string(out.join("audit.html")).unwrap();
    for words in ["twin.png", "Near-copies", "image statistics", "This is research, not a diagnosis", "data:image/png"]
    {
        assert!(page.contains(words), "{words}");
    }
    for picture in ["shortcuts", "near-copies"] {
        assert!(png_size(&out.join(format!("{picture}.png"))).0 > 600, "{picture}");
    }
    assert!(fs::read_to_string(out.join("near-copies.svg")).unwrap().contains("Synthetic films"));

    // Once more, of the films without the copy and without a film on a picture: what was there goes.
    fs::remove_file(films.join("train/PNEUMONIA/twin.png")).unwrap();
    done(&[&command[..], &["--no-films", "--no-suspects"]].concat());
    assert!(!out.join("near-copies.png").exists() && out.join("shortcuts.svg").exists());
    let page = fs::read_to_string(out.join("audit.html")).unwrap();
    assert!(!page.contains("data:image/png") && page.contains("data:image/svg+xml") && !page.contains("twin.png"));
    fs::write(out.join("audit.html"), "mine").unwrap();
    refused(&run(&command), &["audit.html is there, and lungfish did not write it"]);
    assert_eq!(fs::read_to_string(out.join("audit.html")).unwrap(), "mine");
    let inside = films.join("train/audit");
    refused(&run(&["audit", "--data", arg(&films), "--out", arg(&inside)]), &[arg(&inside)]);
    assert!(!inside.exists());
}

#[test]
fn explore_draws_what_it_counts() {
    let folder = temporary();
    let out = folder.path().join("new/pictures");
    let table = done(&["explore", arg(&FILMS), "--out", arg(&out)]);
    assert!(table.contains(&format!("Picture: {}", arg(&out.join("explore.png")))), "{table}");
    let (width, height) = png_size(&out.join("explore.png"));
    assert!(width >= 600 && height >= 400, "{width} x {height}");
    let svg = fs::read_to_string(out.join("explore.svg")).unwrap();
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
    assert_eq!(files(&out).len(), 2);
    // The same films, the same bytes.
    let again = folder.path().join("again");
    done(&["explore", arg(&FILMS), "--out", arg(&again), "--threads", "3", "--json"]);
    for name in ["explore.png", "explore.svg"] {
        assert_eq!(fs::read(out.join(name)).unwrap(), fs::read(again.join(name)).unwrap(), "{name}");
    }
    // For paper: 100 mm are 1181 dots, and there is a PDF too.
    let paper = folder.path().join("paper");
    let printed = done(&["explore", arg(&FILMS), "--out", arg(&paper), "--pdf", "--print-width", "100"]);
    assert!(printed.contains(&format!("Picture: {}", arg(&paper.join("explore.pdf")))), "{printed}");
    assert_eq!(png_size(&paper.join("explore.png")).0, 1181);
    assert!(fs::read(paper.join("explore.pdf")).unwrap().starts_with(b"%PDF"));
    refused(&run(&["explore", arg(&FILMS), "--pdf"]), &["--pdf is for pictures", "--out"]);
    refused(
        &run(&["predict", "--model", "run", "film.png", "--print-width", "90"]),
        &["--print-width is for pictures", "--plot"],
    );
    refused(
        &run(&["predict", "--model", "run", "film.png", "--cam"]),
        &["--cam has nothing to go into", "--cam-arrays"],
    );
    refused(
        &run(&["predict", "--model", "run", "film.png", "--json", "--cam-of", "NORMAL"]),
        &["--cam-of says of which class", "--cam-arrays"],
    );
    let output = run(&["explore", arg(&FILMS), "--out", arg(&paper), "--print-width", "5"]);
    assert!(!output.status.success() && text(&output.stderr).contains("from 10 to 2000"), "{}", said(&output));
    // Without a picture the counts still stand.
    let blocked = folder.path().join("blocked");
    fs::create_dir_all(blocked.join("explore.png")).unwrap();
    let output = run(&["explore", arg(&FILMS), "--out", arg(&blocked)]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(text(&output.stderr).contains("warning: there is no picture explore: "), "{}", said(&output));
    let (counts, _) = table.split_once("\n\nPicture: ").unwrap();
    assert_eq!(text(&output.stdout).trim_end(), counts);
}

#[test]
fn explore_takes_other_names_of_patients_and_flat_folders() {
    let folder = temporary();
    for (class, name) in [("A", "p1-a.png"), ("A", "p1-b.png"), ("B", "p2-a.png"), ("B", "p1-c.png")] {
        fs::create_dir_all(folder.path().join(class)).unwrap();
        fs::copy(&split(&FILMS, "test")[0], folder.path().join(class).join(name)).unwrap();
    }
    let table = done(&["explore", arg(folder.path())]);
    assert!(table.contains("unknown: nothing tells them, so every film counts as a"), "{table}");
    let table = done(&["explore", arg(folder.path()), "--patient", r"^(p\d+)-"]);
    assert!(table.contains("2, up to 3 films each (told by the pattern given); 1 in more than one class"), "{table}");
    assert!(table.contains("\nclass  films   share  patients  mean gray\n"), "{table}");
    refused(&run(&["explore", arg(folder.path()), "--patient", "("]), &["patient", "("]);
}

#[test]
fn explore_refuses_what_is_no_folder_of_films() {
    let folder = temporary();
    refused(&run(&["explore", arg(&folder.path().join("absent"))]), &["absent"]);
    refused(&run(&["explore", arg(folder.path())]), &["class"]);
    let among = FILMS.join("train/NORMAL/pictures");
    refused(&run(&["explore", arg(&FILMS), "--out", arg(&among)]), &[arg(&among), "class"]);
    assert!(!among.exists());
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    refused(&run(&["explore", arg(&FILMS), "--out", arg(&file)]), &[arg(&file)]);
}

#[test]
fn preview_draws_films_beside_what_the_network_sees() {
    let folder = temporary();
    let out = |name: &str| folder.path().join(name);
    let preview = |name: &str, more: &[&str]| {
        let out = out(name);
        let said = done(&[&["preview", "--data", arg(&FILMS), "--out", arg(&out)], more].concat());
        (said, fs::read(&out).unwrap())
    };
    let (said, plain) = preview("plain.png", &[]);
    assert_eq!(said, format!("8 films of the train split: {}\n", arg(&out("plain.png"))));
    let (width, height) = png_size(&out("plain.png"));
    assert!(width >= 600 && height >= 400, "{width} x {height}");
    assert_eq!(plain, preview("again.png", &[]).1);

    let (_, augmented) = preview("augmented.png", &["--augmented"]);
    let (_, seed) = preview("seed.png", &["--augmented", "--seed", "1"]);
    let (_, squashed) = preview("squashed.png", &["--set", "fit=squash"]);
    assert!(augmented != plain && seed != augmented && squashed != plain);
    preview("two.png", &["--films", "2"]);
    assert!(png_size(&out("two.png")).1 < height);
    let (_, svg) = preview("deep/folder/two.svg", &["--films", "2"]);
    assert!(text(&svg).starts_with("<svg"));

    // A recipe's file says the same as its settings.
    let recipe = folder.path().join("my.toml");
    fs::write(&recipe, "fit = \"squash\"\n").unwrap();
    assert_eq!(preview("recipe.png", &["--recipe", arg(&recipe)]).1, squashed);
}

#[test]
fn preview_is_written_here_where_no_place_is_named() {
    let folder = temporary();
    let output = lungfish(&["preview", "--data", arg(&FILMS)]).current_dir(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(text(&output.stdout), "8 films of the train split: preview.png\n");
    assert!(folder.path().join("preview.png").is_file());
}

#[test]
fn preview_passes_over_bad_films_and_refuses_what_it_cannot_do() {
    let folder = temporary();
    let films = folder.path().join("films");
    copy(&FILMS, &films);
    let normal = split(&films, "train/NORMAL");
    normal[1..].iter().for_each(|film| fs::write(film, b"no film").unwrap());
    let out = folder.path().join("out.png");
    let output = run(&["preview", "--data", arg(&films), "--out", arg(&out), "--films", "5"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(text(&output.stderr).contains("bad film") && out.is_file(), "{}", said(&output));

    fs::remove_file(&out).unwrap();
    split(&films, "train").iter().for_each(|film| fs::write(film, b"no film").unwrap());
    refused(&run(&["preview", "--data", arg(&films), "--out", arg(&out)]), &["no film of", arg(&films)]);
    assert!(!out.exists());

    let jpeg = folder.path().join("out.jpg");
    refused(&run(&["preview", "--data", arg(&FILMS), "--out", arg(&jpeg)]), &[arg(&jpeg), ".png or .svg"]);
    let among = FILMS.join("train/NORMAL/out.png");
    refused(&run(&["preview", "--data", arg(&FILMS), "--out", arg(&among)]), &["class"]);
    let mut here = lungfish(&["preview", "--data", arg(&FILMS)]);
    refused(&here.current_dir(FILMS.join("train/NORMAL")).output().unwrap(), &["class"]);
    refused(&run(&["preview", "--data", arg(&FILMS), "--set", "fit=stretch"]), &["crop, pad or squash"]);
    assert_eq!(run(&["preview", "--data", arg(&FILMS), "--films", "0"]).status.code(), Some(2));
}
