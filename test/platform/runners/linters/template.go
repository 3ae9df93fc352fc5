// Executes Go templates, as spire-controller-manager does: {"templates", "data"} from stdin, a list of texts to stdout.
package main

import (
	"encoding/json"
	"log"
	"os"
	"strings"
	"text/template"
)

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	var input struct {
		Templates []string
		Data      map[string]any
	}
	must(json.NewDecoder(os.Stdin).Decode(&input))
	texts := []string{}
	for _, text := range input.Templates {
		one, err := template.New("").Parse(text)
		must(err)
		var result strings.Builder
		must(one.Execute(&result, input.Data))
		texts = append(texts, result.String())
	}
	must(json.NewEncoder(os.Stdout).Encode(texts))
}
