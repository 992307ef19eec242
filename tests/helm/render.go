// Renders one template of the chart as `helm template` does: Go's own text/template, the values merged before, and of
// Helm's functions those that the chart uses. Any other one is an error, and so is a value that is not there.
package main

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

func main() {
	if err := render(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func render(file, data string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var values map[string]any
	if err := json.Unmarshal([]byte(data), &values); err != nil {
		return err
	}
	values["Files"] = files(filepath.Dir(filepath.Dir(file)))
	functions := template.FuncMap{
		"quote":     func(value any) string { return fmt.Sprintf("%q", fmt.Sprint(value)) },
		"indent":    indent,
		"hasPrefix": func(start, text string) bool { return strings.HasPrefix(text, start) },
		"toJson":    func(value any) (string, error) { text, err := json.Marshal(value); return string(text), err },
		"required":  required,
		"sha256sum": func(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) },
		"fail":      func(message string) (string, error) { return "", errors.New(message) },
	}
	parsed, err := template.New(file).Option("missingkey=error").Funcs(functions).Parse(string(text))
	if err != nil {
		return err
	}
	return parsed.Execute(os.Stdout, values)
}

// The chart's folder.
type files string

// As Helm's: what is not there is empty.
func (chart files) Get(name string) string {
	text, err := os.ReadFile(filepath.Join(string(chart), name))
	if err != nil {
		return ""
	}
	return string(text)
}

func indent(spaces int, text string) string {
	pad := strings.Repeat(" ", spaces)
	return pad + strings.ReplaceAll(text, "\n", "\n"+pad)
}

// As Helm's: nil and the empty string are missing.
func required(message string, value any) (any, error) {
	if value == nil || value == "" {
		return nil, errors.New(message)
	}
	return value, nil
}
