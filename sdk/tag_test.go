package sdk

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/logplug/logplug/shared/logdriver"
)

type commonOptions struct {
	Attributes
	Tag
}

var container = logdriver.Info{
	ContainerID: "0123456789abcdef0123", ContainerName: "/web one", ContainerImageName: "nginx:1",
	ContainerLabels: map[string]string{"tier": "front", "app.name": "shop", "secretive": "s"},
	ContainerEnv:    []string{"tier=from-env", "PATH=/bin", "EMPTY=", "odd", "K=a=b"},
	ContainerArgs:   []string{"-v", "<x>"}, ContainerEntrypoint: "run",
}

func common(t *testing.T, config map[string]string) *commonOptions {
	t.Helper()
	o, err := nothing[commonOptions]().Options(config)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestTag(t *testing.T) {
	for tag, want := range map[string]string{
		"":                                     "0123456789ab",
		"plain":                                "plain",
		"{{.FullID}}/{{.Name}}":                "0123456789abcdef0123/web one",
		"{{upper .Name}} {{title .Name}}":      "WEB ONE Web One",
		"{{lower .ImageName}}":                 "nginx:1",
		"{{json .ContainerArgs}}":              `["-v","<x>"]`,
		"{{.Command}}":                         "run -v <x>",
		`{{join (split .Name " ") "_"}}`:       "web_one",
		`[{{pad .Name 1 2}}][{{pad "" 3 3}}]`:  "[ web one  ][]",
		`{{truncate .Name 3}}`:                 "web",
		`{{truncate "aß" 2}}`:                  "a",
		`{{index .ContainerLabels "missing"}}`: "",
	} {
		if got, err := common(t, map[string]string{"tag": tag}).Tag.Render(&container); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", tag, got, err, want)
		}
	}
	if got, _ := common(t, nil).Tag.Render(&container); got != container.ID() {
		t.Errorf("default: %q", got)
	}
}

func TestTagErrors(t *testing.T) {
	for _, tag := range []string{"{{.Nope}}", "{{pad .Name 99999999 0}}", "{{truncate .Name -1}}", "{{pad .Name -1 0}}", "{{index .ContainerArgs 9}}"} {
		_, err := common(t, map[string]string{"tag": tag}).Tag.Render(&container)
		var opt *logdriver.OptionError
		if !errors.As(err, &opt) || opt.Option != "tag" {
			t.Errorf("%q: %v", tag, err)
		}
	}
}

func TestAppendTag(t *testing.T) {
	before := []logdriver.Attr{{Key: "k", Value: "v"}}
	for tag, want := range map[string][]logdriver.Attr{
		"":          before,
		"{{.Name}}": {before[0], {Key: "tag", Value: "web one"}},
	} {
		config := map[string]string{"tag": tag}
		if tag == "" {
			config = nil
		}
		got, err := common(t, config).AppendTag(before, &container)
		if err != nil || !cmp.Equal(got, want) {
			t.Errorf("%q: %v, %v", tag, got, err)
		}
	}
	var opt *logdriver.OptionError
	if _, err := common(t, map[string]string{"tag": "{{.Nope}}"}).AppendTag(nil, &container); !errors.As(err, &opt) {
		t.Error(err)
	}
}

func TestAttributes(t *testing.T) {
	for _, tc := range []struct {
		name   string
		config map[string]string
		want   string
	}{
		{"none", nil, ""},
		{"labels", map[string]string{"labels": "tier,missing, app.name"}, "app.name=shop tier=front"},
		{"regex", map[string]string{"labels-regex": `^app\.`}, "app.name=shop"},
		{"env", map[string]string{"env": "PATH,odd,EMPTY,K"}, "EMPTY= K=a=b PATH=/bin"},
		{"env regex", map[string]string{"env-regex": "^P"}, "PATH=/bin"},
		{"the later wins", map[string]string{"labels": "tier", "env-regex": "tier"}, "tier=from-env"},
	} {
		var got []string
		for _, a := range common(t, tc.config).Extra(&container) {
			got = append(got, a.Key+"="+a.Value)
		}
		if diff := cmp.Diff(tc.want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%s: %s", tc.name, diff)
		}
	}
}
