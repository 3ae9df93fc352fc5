// A program that uses AWS: the SDK for Go, told nothing but its environment. A line of stdin is one call, a line of
// stdout its outcome.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
)

func call(client *sts.Client) map[string]string {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	reply, err := client.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err == nil {
		return map[string]string{"arn": *reply.Arn}
	}
	name := "Error"
	var refusal smithy.APIError
	if errors.As(err, &refusal) {
		name = refusal.ErrorCode()
	}
	return map[string]string{"error": name, "message": err.Error()}
}

func main() {
	settings, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	client := sts.NewFromConfig(settings)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		outcome, _ := json.Marshal(call(client))
		fmt.Println(string(outcome))
	}
}
