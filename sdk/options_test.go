package sdk

import (
	"context"
	"errors"
	"math"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/logplug/logplug/shared/logdriver"
)

type allOptions struct {
	Text   string             `logplug:"text" default:"plain" help:"Some text"`
	Mode   string             `logplug:"mode" enum:"blocking,non-blocking" default:"blocking"`
	On     bool               `logplug:"on" default:"true"`
	Count  int                `logplug:"count" default:"3"`
	Small  int8               `logplug:"small"`
	Port   uint16             `logplug:"port"`
	Ratio  float64            `logplug:"ratio" default:"0.5"`
	Size   Size               `logplug:"max-size" default:"10m"`
	Wait   time.Duration      `logplug:"wait" default:"5s"`
	Items  []string           `logplug:"items"`
	Match  *regexp.Regexp     `logplug:"match"`
	Format *template.Template `logplug:"format" default:"{{upper .Name}}"`
	Token  string             `logplug:"token,required,secret"`
	Key    Size               `logplug:"secret-size,secret"`
	Rule   *regexp.Regexp     `logplug:"secret-match,secret"`

	Ignored string
	Dash    string `logplug:"-"`
	Attributes
	Tag
}

func (o *allOptions) Validate() error {
	switch o.Text {
	case "bad":
		return errors.Join(
			&logdriver.OptionError{Option: "text", Reason: "is bad"},
			&logdriver.OptionError{Option: "mode", Reason: "as well"})
	case "plainly bad":
		return errors.New("this does not go together")
	}
	return nil
}

func nothing[O any]() Driver[O] {
	return Driver[O]{Name: "test", Open: func(context.Context, logdriver.Info, *O) (logdriver.Logger, error) { return nil, nil }}
}

func TestOptionsDefaults(t *testing.T) {
	o, err := nothing[allOptions]().Options(map[string]string{"token": "x"})
	if err != nil {
		t.Fatal(err)
	}
	if o.Text != "plain" || o.Mode != "blocking" || !o.On || o.Count != 3 || o.Ratio != 0.5 ||
		o.Size != 10<<20 || o.Wait != 5*time.Second || o.Items != nil || o.Match != nil || o.Format == nil || o.Tag.IsSet() {
		t.Errorf("%+v", o)
	}
}

func TestOptionsValues(t *testing.T) {
	o, err := nothing[allOptions]().Options(map[string]string{
		"token": "x", "text": "", "mode": "non-blocking", "on": "false", "count": "-7", "port": "65535", "ratio": "1e3",
		"max-size": "1.5 GiB", "wait": " 1h30m ", "items": "a, b,,c", "match": "^a+$", "format": "", "tag": "{{.Name}}", "labels": "x,y",
	})
	if err != nil {
		t.Fatal(err)
	}
	if o.Text != "" || o.Mode != "non-blocking" || o.On || o.Count != -7 || o.Port != 65535 || o.Ratio != 1000 ||
		o.Size != 3<<29 || o.Wait != 90*time.Minute || !o.Match.MatchString("aa") || o.Format != nil || !o.Tag.IsSet() {
		t.Errorf("%+v", o)
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, o.Items); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"x", "y"}, o.Labels); diff != "" {
		t.Error(diff)
	}
}

func TestOptionsErrors(t *testing.T) {
	for _, tc := range []struct {
		option, value string
		want          string
	}{
		{"max-siez", "1", `option "max-siez": no such option; did you mean "max-size"? (options are: text, mode,`},
		{"qqqqqqqqq", "1", `option "qqqqqqqqq": no such option (options are:`},
		{"token", "", `option "token": is required`},
		{"mode", "blocked", `"blocked" is not one of blocking, non-blocking; did you mean "blocking"?`},
		{"on", "yes!", `"yes!" is neither true nor false`},
		{"on", "", `"" is neither true nor false`},
		{"count", "3.5", "not a whole number from -9223372036854775808 to"},
		{"small", "128", "not a whole number from -128 to 127"},
		{"port", "-1", "not a whole number from 0 to 65535"},
		{"ratio", "NaN", "is not a number"},
		{"max-size", "10 parsecs", "is not a size of 0 or more"},
		{"max-size", "-1", "is not a size of 0 or more"},
		{"max-size", "99999999999p", "is not a size of 0 or more"},
		{"max-size", "", "is not a size"},
		{"wait", "5", "is not a duration, such as"},
		{"match", "(", "is not a regular expression (RE2 syntax): error parsing regexp"},
		{"format", "{{nope}}", "is not a template"},
		{"labels-regex", "[", "is not a regular expression"},
		{"secret-size", "hunter2", "the value (not shown) is not a size"},
		{"secret-match", "hunter2(", "the value (not shown) is not a regular expression (RE2 syntax)"},
		{"text", "bad", `driver test: option "mode": as well`},
		{"text", "plainly bad", "driver test: options: this does not go together"},
		{"text", strings.Repeat("x", 1000), ""},
	} {
		t.Run(tc.option+"="+tc.value[:min(len(tc.value), 20)], func(t *testing.T) {
			config := map[string]string{"token": "sesame"}
			config[tc.option] = tc.value
			_, err := nothing[allOptions]().Options(config)
			if tc.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var opt *logdriver.OptionError
			if !errors.As(err, &opt) || opt.Driver != "test" || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("err = %v, want %q", err, tc.want)
			}
			if err != nil && strings.Contains(err.Error()+opt.Reason, "hunter2") {
				t.Errorf("secret in %v", err)
			}
		})
	}
}

func TestSchema(t *testing.T) {
	desc, err := nothing[allOptions]().Description()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range desc.Options {
		got = append(got, o.Name+" "+string(o.Type))
	}
	want := []string{
		"text string", "mode enum", "on bool", "count int", "small int", "port int", "ratio float", "max-size size",
		"wait duration", "items list", "match regexp", "format template", "token string", "secret-size size", "secret-match regexp",
		"labels list", "labels-regex regexp", "env list", "env-regex regexp", "tag template",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(logdriver.Option{Name: "text", Type: logdriver.TypeString, Default: "plain", Help: "Some text"}, desc.Options[0]); diff != "" {
		t.Error(diff)
	}
	if !reflect.DeepEqual(desc.Options[1].Values, []string{"blocking", "non-blocking"}) || !desc.Options[12].Required || !desc.Options[12].Secret {
		t.Errorf("%+v", desc.Options)
	}
	if desc.Version != "dev" || desc.Protocol.Min < 1 {
		t.Errorf("%+v", desc)
	}
}

func TestMistakesOfAuthorsAreFound(t *testing.T) {
	check := func(want string, _ logdriver.Description, err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("err = %v, want %q", err, want)
		}
	}
	d1, err := nothing[struct {
		A string `logplug:"a"`
		B string `logplug:"a"`
	}]().Description()
	check("declared twice", d1, err)
	d1, err = nothing[struct {
		A int `logplug:"a" default:"x"`
	}]().Description()
	check("the default of", d1, err)
	d1, err = nothing[struct {
		A chan int `logplug:"a"`
	}]().Description()
	check("cannot hold an option", d1, err)
	d1, err = nothing[struct {
		A string `logplug:"a,secert"`
	}]().Description()
	check("unknown flag", d1, err)
	d1, err = nothing[struct {
		A string `logplug:"a,required" default:"x"`
	}]().Description()
	check("required and has a default", d1, err)
	d1, err = nothing[struct {
		A string `logplug:"a,secret" default:"x"`
	}]().Description()
	check("everybody can see", d1, err)
	d1, err = nothing[struct {
		a string `logplug:"a"`
	}]().Description()
	check("not exported", d1, err)
	d1, err = nothing[struct {
		A string `logplug:"A b"`
	}]().Description()
	check("must match", d1, err)
	d1, err = nothing[struct {
		A int `logplug:"a" enum:"1,2"`
	}]().Description()
	check("an enum is a string", d1, err)
	d1, err = nothing[int]().Description()
	check("not a struct", d1, err)
	d1, err = Driver[struct{}]{Name: "Bad Name"}.Description()
	check("driver name", d1, err)
	d1, err = Driver[struct{}]{Name: "x"}.Description()
	check("Open is nil", d1, err)
	d := nothing[struct{}]()
	d.Summary = "two\nlines"
	d1, err = d.Description()
	check("one line", d1, err)
}

func TestNoOptions(t *testing.T) {
	desc, err := nothing[struct{}]().Description()
	if err != nil || desc.Options == nil {
		t.Errorf("%+v, %v", desc, err)
	}
	if _, err := nothing[struct{}]().Options(map[string]string{"x": ""}); err == nil || !strings.Contains(err.Error(), "has no options") {
		t.Error(err)
	}
}

func FuzzOptions(f *testing.F) {
	f.Add("max-size", "10m")
	f.Add("wait", "1h")
	f.Add("tag", "{{.ID}}")
	f.Add("match", "a|b")
	f.Fuzz(func(t *testing.T, name, value string) {
		o, err := nothing[allOptions]().Options(map[string]string{"token": "x", name: value})
		var opt *logdriver.OptionError
		if err != nil && !errors.As(err, &opt) {
			t.Errorf("%T: %v", err, err)
		}
		if err == nil && (o.Size < 0 || math.IsNaN(o.Ratio)) {
			t.Errorf("%+v", o)
		}
	})
}

func TestSizeString(t *testing.T) {
	if s := Size(10 << 20).String(); s != "10MiB" {
		t.Error(s)
	}
}
