package operations

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"

	"github.com/boxconnection/connector/plugin/operation"
	"github.com/boxconnection/connector/proto/connector"
)

// root is the ID of an account's root folder.
const root = "0"

// FolderInput names a folder.
type FolderInput struct {
	FolderID string `json:"folder_id" title:"Folder ID" description:"0 is the root." pattern:"^[0-9]{1,32}$"`
}

func getFolder(ctx context.Context, s *operation.Session, in *FolderInput, out *Item) error {
	_, err := do(ctx, s, call{method: http.MethodGet, url: s.Endpoint("api").JoinPath("folders", in.FolderID), query: url.Values{"fields": {folderFields}}}, out)
	return err
}

// CreateFolderInput describes a new folder.
type CreateFolderInput struct {
	Name        string `json:"name" title:"Name" pattern:"^[^/\\\\]*[^/\\\\ ]$" minLength:"1" maxLength:"255"`
	ParentID    string `json:"parent_id,omitempty" title:"Parent folder ID" description:"The root if it is left out." pattern:"^[0-9]{1,32}$"`
	Description string `json:"description,omitempty" title:"Description" maxLength:"256"`
}

func createFolder(ctx context.Context, s *operation.Session, in *CreateFolderInput, out *Item) error {
	if err := checkName(in.Name, "/name"); err != nil {
		return err
	}
	body := map[string]any{"name": in.Name, "parent": Reference{ID: parent(in.ParentID)}}
	c, err := jsonCall(http.MethodPost, s.Endpoint("api").JoinPath("folders"), body)
	if err != nil {
		return err
	}
	c.once, c.query = true, url.Values{"fields": {folderFields}}
	if _, err := do(ctx, s, c, out); err != nil || in.Description == "" {
		return err
	}
	// Box takes a description with a change only.
	return change(ctx, s, out.ID, map[string]any{"description": in.Description}, "", out)
}

// UpdateFolderInput is what changes of a folder; what is left out stays.
type UpdateFolderInput struct {
	FolderID    string           `json:"folder_id" title:"Folder ID" pattern:"^[0-9]{1,32}$"`
	Name        string           `json:"name,omitempty" title:"Name" pattern:"^[^/\\\\]*[^/\\\\ ]$" minLength:"1" maxLength:"255"`
	Description *string          `json:"description,omitempty" title:"Description" maxLength:"256"`
	ParentID    string           `json:"parent_id,omitempty" title:"New parent folder ID" description:"Moves the folder." pattern:"^[0-9]{1,32}$"`
	SharedLink  *SharedLinkInput `json:"shared_link,omitempty" title:"Shared link"`
	Tags        *[]string        `json:"tags,omitempty" title:"Tags" minLength:"1"`
	UploadEmail *UploadEmail     `json:"folder_upload_email,omitempty" title:"E-mail upload"`
	IfMatch     string           `json:"if_match,omitempty" title:"Entity tag" description:"Changes the folder only if it still has this etag." maxLength:"256"`
}

// SharedLinkInput is a shared link to make or change.
type SharedLinkInput struct {
	Access      string           `json:"access,omitempty" title:"Access" enum:"open,company,collaborators"`
	Password    string           `json:"password,omitempty" title:"Password" description:"Only for open links."`
	UnsharedAt  string           `json:"unshared_at,omitempty" title:"Ends at" format:"date-time"`
	Permissions *LinkPermissions `json:"permissions,omitempty" title:"Permissions"`
}

// LinkPermissions are what a link allows.
type LinkPermissions struct {
	CanDownload bool `json:"can_download" title:"Can download"`
}

// UploadEmail lets files be sent to a folder by e-mail.
type UploadEmail struct {
	Access string `json:"access" title:"Access" enum:"open,collaborators"`
}

func updateFolder(ctx context.Context, s *operation.Session, in *UpdateFolderInput, out *Item) error {
	changes := map[string]any{}
	if in.Name != "" {
		if err := checkName(in.Name, "/name"); err != nil {
			return err
		}
		changes["name"] = in.Name
	}
	set := func(name string, present bool, value any) {
		if present {
			changes[name] = value
		}
	}
	set("description", in.Description != nil, in.Description)
	set("parent", in.ParentID != "", Reference{ID: in.ParentID})
	set("shared_link", in.SharedLink != nil, in.SharedLink)
	set("tags", in.Tags != nil, in.Tags)
	set("folder_upload_email", in.UploadEmail != nil, in.UploadEmail)
	if len(changes) == 0 {
		return connector.Errorf(connector.InputInvalid, connector.OriginSettings, "The input changes nothing.").
			Suggest("Give at least one of name, description, parent_id, shared_link, tags and folder_upload_email.")
	}
	return change(ctx, s, in.FolderID, changes, in.IfMatch, out)
}

func change(ctx context.Context, s *operation.Session, id string, body map[string]any, ifMatch string, out *Item) error {
	c, err := jsonCall(http.MethodPut, s.Endpoint("api").JoinPath("folders", id), body)
	if err != nil {
		return err
	}
	c.query = url.Values{"fields": {folderFields}}
	if ifMatch != "" {
		c.header.Set("If-Match", ifMatch)
		// The first one may have been carried out, and the tag changed by it.
		c.once = true
	}
	_, err = do(ctx, s, c, out)
	return err
}

// ListInput names a folder and the fields to list.
type ListInput struct {
	FolderID string   `json:"folder_id" title:"Folder ID" description:"0 is the root." pattern:"^[0-9]{1,32}$"`
	Fields   []string `json:"fields,omitempty" title:"Fields" description:"What to list of each item; a short form of it if left out." enum:"content_created_at,content_modified_at,created_at,created_by,description,etag,expires_at,id,item_status,modified_at,modified_by,name,owned_by,parent,path_collection,purged_at,sequence_id,sha1,shared_link,size,tags,trashed_at,type"`
	PageSize int      `json:"page_size" title:"Page size" default:"1000" minimum:"1" maximum:"1000"`
}

// listed is a page of a list.
type listed struct {
	Entries    []json.RawMessage `json:"entries"`
	NextMarker string            `json:"next_marker"`
	TotalCount int64             `json:"total_count"`
	Offset     int64             `json:"offset"`
}

func getFolderItems(ctx context.Context, s *operation.Session, in *ListInput, out *operation.Output[Item]) error {
	at, _ := s.Resume()
	marker := string(at)
	// A list that leads back to a page comes to the one that is remembered: it
	// is a later one each time the way has doubled.
	remembered, pages, next := "", 0, 1
	for sent := int64(0); ; {
		query := url.Values{"usemarker": {"true"}, "limit": {strconv.Itoa(in.PageSize)}}
		if marker != "" {
			query.Set("marker", marker)
		}
		setFields(query, in.Fields)
		var page listed
		if _, err := do(ctx, s, call{method: http.MethodGet, url: s.Endpoint("api").JoinPath("folders", in.FolderID, "items"), query: query}, &page); err != nil {
			return err
		}
		if err := sendAll(out, page.Entries); err != nil {
			return err
		}
		sent += int64(len(page.Entries))
		s.Progress(sent, 0)
		if page.NextMarker == "" {
			return nil
		}
		if page.NextMarker == marker || page.NextMarker == remembered {
			return connector.Errorf(connector.UnexpectedAnswer, connector.OriginService, "Box's list doesn't go on: a page leads back to one before.").
				With(connector.Retry).Suggest("Try again later.")
		}
		marker = page.NextMarker
		if pages++; pages == next {
			remembered, next = marker, 2*next
		}
		if err := s.Checkpoint([]byte(marker)); err != nil {
			return err
		}
	}
}

func sendAll(out *operation.Output[Item], entries []json.RawMessage) error {
	for _, entry := range entries {
		var item Item
		if json.Unmarshal(entry, &item) != nil {
			return connector.Errorf(connector.UnexpectedAnswer, connector.OriginService, "An item of Box's list can't be read.").
				With(connector.Retry).Suggest("Ask for fewer fields.")
		}
		if err := out.Send(&item); err != nil {
			return err
		}
	}
	return nil
}

// DeleteFolderInput names a folder to delete.
type DeleteFolderInput struct {
	FolderID  string `json:"folder_id" title:"Folder ID" pattern:"^[1-9][0-9]{0,31}$"`
	Recursive bool   `json:"recursive,omitempty" title:"Recursive" description:"Also if it isn't empty."`
	IfMatch   string `json:"if_match,omitempty" title:"Entity tag" description:"Deletes the folder only if it still has this etag." maxLength:"256"`
}

// Nothing is the empty document.
type Nothing struct{}

func deleteFolder(ctx context.Context, s *operation.Session, in *DeleteFolderInput, _ *Nothing) error {
	c := call{method: http.MethodDelete, url: s.Endpoint("api").JoinPath("folders", in.FolderID), query: url.Values{"recursive": {strconv.FormatBool(in.Recursive)}}}
	return remove(ctx, s, c, in.IfMatch)
}

// DeleteFileInput names a file to delete.
type DeleteFileInput struct {
	FileID  string `json:"file_id" title:"File ID" pattern:"^[0-9]{1,32}$"`
	IfMatch string `json:"if_match,omitempty" title:"Entity tag" description:"Deletes the file only if it still has this etag." maxLength:"256"`
}

func deleteFile(ctx context.Context, s *operation.Session, in *DeleteFileInput, _ *Nothing) error {
	return remove(ctx, s, call{method: http.MethodDelete, url: s.Endpoint("api").JoinPath("files", in.FileID)}, in.IfMatch)
}

// remove deletes an item. The first request may have been carried out though
// its answer got lost, so that a repeated one finds nothing any more.
func remove(ctx context.Context, s *operation.Session, c call, ifMatch string) error {
	c.once = true
	if ifMatch != "" {
		c.header = http.Header{"If-Match": {ifMatch}}
	}
	_, err := do(ctx, s, c, nil)
	if !passes(err) {
		return err
	}
	if err := sleep(ctx, firstDelay); err != nil {
		return err
	}
	c.once = false
	a, err := do(ctx, s, c, nil)
	if a != nil && a.status == http.StatusNotFound {
		return nil
	}
	return err
}

func setFields(query url.Values, fields []string) {
	if len(fields) == 0 {
		return
	}
	list := "type,id" // what a document is known by
	for _, f := range fields {
		if f != "type" && f != "id" {
			list += "," + f
		}
	}
	query.Set("fields", list)
}

func parent(id string) string {
	if id == "" {
		return root
	}
	return id
}

// checkName refuses names that Box refuses and a pattern can't tell.
func checkName(name, pointer string) error {
	if name == "." || name == ".." {
		return connector.Errorf(connector.InputInvalid, connector.OriginSettings, "This can't be a name at Box.").
			At(pointer).Suggest("Use up to 255 characters without / and \\, no blank at the end, and not . or .. alone.")
	}
	return nil
}
