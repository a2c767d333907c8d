module github.com/boxconnection/connector/conformance/interop/authrig

go 1.26.0
