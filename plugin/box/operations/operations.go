// Package operations is what can be done with files and folders over a Box
// connection: get, list, search, create, update, upsert and delete. Each
// follows Box's public API reference (developer.box.com/reference).
//
// Names of items are data: none becomes the path of a local file.
package operations

import (
	"github.com/boxconnection/connector/plugin/operation"
)

// Scopes that a Box app is configured with, and those that access is narrowed
// to (developer.box.com/guides/api-calls/permissions-and-errors/scopes).
const (
	scopeRead  = "root_readonly"
	scopeWrite = "root_readwrite"

	narrowExplore  = "base_explorer"
	narrowDownload = "item_download"
	narrowUpload   = "item_upload"
	narrowDelete   = "item_delete"
)

// Plugin returns the operations as one plugin of this version.
func Plugin(version string) operation.Plugin {
	return operation.Plugin{
		ID: "box-operations", Title: "Box operations", Version: version, Connector: "box",
		Operations: operation.Set{
			{
				ID: "get-file", Title: "Get file", Description: "Downloads a file. A download that breaks off goes on where it was.",
				Effect: operation.Read, Scopes: []string{scopeRead}, Narrow: []string{narrowExplore, narrowDownload},
				Resource: "{api}/files/{file_id}", GivesContent: true, Run: operation.Stream(getFile),
			},
			{
				ID: "get-folder", Title: "Get folder", Description: "Gets a folder's current information.",
				Effect: operation.Read, Scopes: []string{scopeRead}, Narrow: []string{narrowExplore},
				Resource: "{api}/folders/{folder_id}", Run: operation.Func(getFolder),
			},
			{
				ID: "get-folder-items", Title: "Get folder items", Description: "Lists all items of one folder, in no order, one document each.",
				Effect: operation.Read, Scopes: []string{scopeRead}, Narrow: []string{narrowExplore},
				Resource: "{api}/folders/{folder_id}", Resumable: true, Run: operation.Stream(getFolderItems),
			},
			{
				ID: "search", Title: "Search", Description: "Finds files, folders and web links, one document each. New items may appear some minutes late.",
				Effect: operation.Read, Scopes: []string{scopeRead}, Resumable: true, Run: operation.Stream(search),
			},
			{
				ID: "create-file", Title: "Create file", Description: "Uploads a new file. It is an error if the folder has an item of that name.",
				Effect: operation.Write, Scopes: []string{scopeWrite}, Narrow: []string{narrowUpload},
				Resource: "{api}/folders/{parent_id}", TakesContent: true, Resumable: true, Run: operation.Func(createFile),
			},
			{
				ID: "create-folder", Title: "Create folder", Description: "Makes a folder. It is an error if the parent has an item of that name.",
				Effect: operation.Write, Scopes: []string{scopeWrite}, Run: operation.Func(createFolder),
			},
			{
				ID: "update-folder", Title: "Update folder", Description: "Changes a folder's name, description, place, shared link, tags or e-mail upload.",
				Effect: operation.Write, Scopes: []string{scopeWrite}, Run: operation.Func(updateFolder),
			},
			{
				ID: "upsert-file", Title: "Upsert file", Description: "Uploads a new file, or a new version of the file of that name.",
				Effect: operation.Write, Scopes: []string{scopeWrite}, Narrow: []string{narrowUpload},
				Resource: "{api}/folders/{parent_id}", TakesContent: true, Resumable: true, Run: operation.Func(upsertFile),
			},
			{
				ID: "delete-file", Title: "Delete file", Description: "Moves a file to the trash.",
				Effect: operation.Delete, Scopes: []string{scopeWrite}, Narrow: []string{narrowDelete},
				Resource: "{api}/files/{file_id}", Run: operation.Func(deleteFile),
			},
			{
				ID: "delete-folder", Title: "Delete folder", Description: "Moves a folder to the trash; one that isn't empty only if recursive is set.",
				Effect: operation.Delete, Scopes: []string{scopeWrite}, Narrow: []string{narrowDelete},
				Resource: "{api}/folders/{folder_id}", Run: operation.Func(deleteFolder),
			},
		},
	}
}
