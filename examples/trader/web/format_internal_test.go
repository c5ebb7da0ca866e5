package web

import "testing"

func TestMoney(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"12": 1200, "12.5": 1250, " 12.50 ": 1250, "$1,000.00": 100_000, ".08": 8, "0.01": 1,
		"": 0, "0": 0, ".": 0, "1.": 0, "1.234": 0, "-1": 0, "1e3": 0, "x": 0, "1.-5": 0, "99999999999999": 0, "1٣": 0,
	} {
		got, err := parseMoney(text)
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for amount, want := range map[int64]string{0: "0.00", 5: "0.05", 123456: "1,234.56", -5: "−0.05", -123456: "−1,234.56", 100_000_000: "1,000,000.00"} {
		if got := cents(amount); got != want {
			t.Errorf("%d: %q, want %q", amount, got, want)
		}
	}
}

func TestCount(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{"1": 1, "1,000": 1000, " 25 ": 25, "": 0, "0": 0, "-1": 0, "1.0": 0, "99999999999999": 0} {
		got, err := parseCount(text)
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
}
