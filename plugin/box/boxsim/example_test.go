package boxsim_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"strings"

	"github.com/boxconnection/connector/plugin/box/boxsim"
)

// A test starts an emulator, lets somebody sign in, and makes the next call
// fail.
func Example() {
	ctx := context.Background()
	box, err := boxsim.Listen(ctx, "localhost:0", boxsim.Options{}, boxsim.ListenOptions{})
	if err != nil {
		log.Fatal(err)
	}
	transport := &http.Transport{}
	hc := &http.Client{Transport: transport}
	info, control := box.Info(), box.Control()
	control.Client = hc

	ask := url.Values{"response_type": {"code"}, "client_id": {info.ClientID}, "redirect_uri": {info.RedirectURIs[0]}, "state": {"opaque"}}
	callback, err := boxsim.Person{Login: "ben@acme.example", Client: hc}.Allow(ctx, info.AuthorizeURL+"?"+ask.Encode())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("sent back to", strings.Split(callback, "?")[0])

	_, err = control.AddFault(ctx, boxsim.Fault{
		Match: boxsim.Match{Path: "/2.0/*"},
		Then:  boxsim.Action{Row: "api_rate_limited"},
	})
	if err != nil {
		log.Fatal(err)
	}
	res, err := hc.Get(info.APIURL + "/users/me")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(res.Status, "wait", res.Header.Get("Retry-After"))
	if err := res.Body.Close(); err != nil {
		log.Fatal(err)
	}

	seen, err := control.Requests(ctx, boxsim.RequestQuery{Path: "/2.0/*"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(seen), "call, fault", seen[0].Fault)

	transport.CloseIdleConnections()
	if err := box.Close(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// sent back to http://localhost:8085/account/local/oauth2/callback
	// 429 Too Many Requests wait 100
	// 1 call, fault f1
}
