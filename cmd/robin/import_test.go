package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"robin"
)

// faultyCSV has six faults: a broken quote, a row in Latin-1, a price, a missing id, a cell too few, a cell of 10 MB.
func faultyCSV(correct bool) string {
	rows := []string{
		"sku;title;brand;price;description",
		`HX-100;Insulated steel tumbler;Norrland;24.90;"Double wall; keeps drinks warm"`,
		`HX-150;"Travel mug" steel;Norrland;19.90;Fits a cup holder`,
		"HX-200;Garden hose;Gr\xfcnwerk;39.00;Flexible hose",
		`HX-300;Wooden train;Kinderwald;cheap;Beech rails`,
		`;Wooden bridge;Kinderwald;12.00;Fits the train`,
		`HX-400;Tea pot;Norrland`,
		`HX-500;Kettle;Norrland;29.00;` + strings.Repeat("steel ", 10<<20/6),
		`HX-600;Lamp;Norrland;29.00;"A lamp` + "\n" + `of two lines"`,
	}
	if correct {
		rows[2] = strings.Replace(rows[2], `"Travel mug" steel`, `"""Travel mug"" steel"`, 1)
		rows[3] = "HX-200;Garden hose;Grünwerk;39.00;Flexible hose"
		rows[4] = strings.Replace(rows[4], "cheap", "45.50", 1)
		rows[5] = "HX-350" + rows[5]
		rows[6] += ";35.00;Glass"
		rows[7] = `HX-500;Kettle;Norrland;29.00;steel`
	}
	return strings.Join(rows, "\n") + "\n"
}

func TestTheFileOfFailedRowsIsCorrectedAndImportedInTheSameWay(t *testing.T) {
	t.Chdir(t.TempDir())
	const settings = `{"id_field":"sku","text":[{"field":"title"},{"field":"description"}],"attributes":{"price":"number","brand":"keyword"}}`
	for name, content := range map[string]string{"shop.csv": faultyCSV(false), "clean.csv": faultyCSV(true), "settings.json": settings} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	code, out, errs := robinRun(t, "", "import", "shop.csv", "-c", "shop", "--settings", "settings.json", "--data", "data")
	if code != exitFailed || !strings.Contains(out, "8 rows, 2 indexed (0 unchanged), 6 failed") || !strings.Contains(out, "shop.failed.csv") {
		t.Fatalf("exit %d\n%s%s", code, out, errs)
	}
	for _, want := range []string{
		"line 3: has text after the closing quote of cell 2; double a quote that is part of the text",
		`line 4: column "brand" is not valid UTF-8; save the file as UTF-8`,
		`line 5 (HX-300): /price is "cheap", want a number`,
		"line 6: /sku is missing",
		"line 7: has 3 cells, the header has 5",
		"line 8: is longer than 1048576 bytes",
		"1 failed rows are not in the file of failed rows; the first because it was too long to keep",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	b, err := os.ReadFile("shop.failed.csv")
	if err != nil {
		t.Fatal(err)
	}
	clean := strings.Split(faultyCSV(true), "\n")
	dirty := strings.Split(faultyCSV(false), "\n")
	corrected := string(b)
	for i, line := range dirty[:7] {
		corrected = strings.Replace(corrected, line+"\n", clean[i]+"\n", 1)
	}
	if corrected == string(b) || !strings.HasPrefix(corrected, dirty[0]+"\n") || strings.Count(corrected, "\n") != 6 {
		t.Fatalf("the file of failed rows is %q", b)
	}
	corrected += clean[7] + "\n" // the row that was too long to keep
	if err := os.WriteFile("shop.failed.csv", []byte(corrected), 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, "", "import", "shop.failed.csv", "-c", "shop", "--data", "data")
	must(t, "", "import", "clean.csv", "-c", "clean", "--settings", "settings.json", "--data", "data")
	sorted := func(c string) string {
		lines := strings.Split(must(t, "", "export", "-c", c, "--data", "data"), "\n")
		set := map[string]bool{}
		for _, l := range lines {
			set[l] = true
		}
		return strings.Join(sortedKeys(set), "\n")
	}
	if got, want := sorted("shop"), sorted("clean"); got != want {
		t.Errorf("after the correction:\n%s\na clean import:\n%s", got, want)
	}

	// A second import that fails makes a second file, and an explicit name is not overwritten.
	if code, out, _ := robinRun(t, "", "import", "shop.csv", "-c", "shop", "--data", "data"); code != exitFailed || !strings.Contains(out, "shop.failed-2.csv") {
		t.Errorf("exit %d, %s", code, out)
	}
	if code, _, errs := robinRun(t, "", "import", "shop.csv", "-c", "shop", "--data", "data", "--failed", "clean.csv"); code != exitUsage || !strings.Contains(errs, "is there already") {
		t.Errorf("exit %d, %s", code, errs)
	}
	if code, _, _ := robinRun(t, "", "import", "shop.csv", "-c", "shop", "--data", "data", "--failed", "off"); code != exitFailed {
		t.Errorf("exit %d", code)
	}
	if files, _ := filepath.Glob("*.failed*"); len(files) != 2 {
		t.Errorf("files of failed rows: %v", files)
	}
}

func TestAFileWithoutAHeaderAndWithDirtyValuesIsImported(t *testing.T) {
	t.Chdir(t.TempDir())
	settings := write(t, "settings.json", `{"id_field":"sku","text":[{"field":"title"}],"attributes":{"price":"number","new":"bool","added":"date"}}`)
	body := "1~Mug~€ 12,50~yes~2026/01/31\n2~Pot~?~no~31.01.2026\n1~Mug, blue~$1,234.50~maybe~soon\n"
	out := must(t, body, "import", "-", "-c", "c", "--format", "csv", "--columns", "sku,title,price,new,added", "--delimiter", "~",
		"--settings", settings, "--dirty", "drop", "--data", "data")
	for _, want := range []string{"3 rows, 3 indexed", "4 values were rewritten", "3 were left out", "line 2: price \"?\" left out", "line 3 (1): has the id of line 1"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	got := must(t, "", "export", "-c", "c", "--data", "data")
	want := `{"sku":"1","title":"Mug, blue","price":1234.5}` + "\n" + `{"sku":"2","title":"Pot","new":false,"added":"2026-01-31"}` + "\n"
	lines := strings.SplitAfter(got, "\n")
	if len(lines) != 3 || lines[0]+lines[1] != want && lines[1]+lines[0] != want {
		t.Errorf("exported\n%swant\n%s", got, want)
	}
	code, _, errs := robinRun(t, body, "import", "-", "-c", "c", "--format", "csv", "--columns", "sku,title,price,new,added", "--delimiter", "~", "--dirty", "coerce", "--data", "data", "--failed", "rows.csv")
	if b, err := os.ReadFile("rows.csv"); code != exitFailed || err != nil || string(b) != body[strings.Index(body, "2~"):] {
		t.Errorf("exit %d, %s, kept %q, %v", code, errs, b, err)
	}
}

func TestALineOfProgressSaysRateTimeLeftFailuresAndDevice(t *testing.T) {
	m := importMeter(nil, "import shop.csv", "cpu", true)
	got := m.line(robin.Progress{Done: 500, Total: 2000, PerS: 300, EtaS: 5, Failed: 2})
	if want := "import shop.csv (cpu): 500 of 2000, 300/s, 5s left, 2 failed"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := m.line(robin.Progress{Done: 7}); got != "import shop.csv (cpu): 7" {
		t.Errorf("%q", got)
	}
}
