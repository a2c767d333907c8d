package operations

import "encoding/json"

// Item is a file, a folder or a web link as Box tells it; what wasn't asked
// for, or doesn't apply, is left out.
type Item struct {
	Type              string           `json:"type,omitempty" title:"Type"`
	ID                string           `json:"id,omitempty" title:"ID"`
	Name              string           `json:"name,omitempty" title:"Name"`
	Description       string           `json:"description,omitempty" title:"Description"`
	ETag              string           `json:"etag,omitempty" title:"Entity tag"`
	SequenceID        string           `json:"sequence_id,omitempty" title:"Sequence ID"`
	SHA1              string           `json:"sha1,omitempty" title:"SHA-1 of a file's content"`
	Size              *int64           `json:"size,omitempty" title:"Size in bytes"`
	CreatedAt         string           `json:"created_at,omitempty" title:"Created at"`
	ModifiedAt        string           `json:"modified_at,omitempty" title:"Modified at"`
	ContentCreatedAt  string           `json:"content_created_at,omitempty" title:"Content created at"`
	ContentModifiedAt string           `json:"content_modified_at,omitempty" title:"Content modified at"`
	TrashedAt         string           `json:"trashed_at,omitempty" title:"Trashed at"`
	PurgedAt          string           `json:"purged_at,omitempty" title:"Purged at"`
	ExpiresAt         string           `json:"expires_at,omitempty" title:"Expires at"`
	ItemStatus        string           `json:"item_status,omitempty" title:"Status"`
	CreatedBy         *User            `json:"created_by,omitempty" title:"Created by"`
	ModifiedBy        *User            `json:"modified_by,omitempty" title:"Modified by"`
	OwnedBy           *User            `json:"owned_by,omitempty" title:"Owned by"`
	Parent            *Reference       `json:"parent,omitempty" title:"Parent folder"`
	PathCollection    *Path            `json:"path_collection,omitempty" title:"Path"`
	FileVersion       *Reference       `json:"file_version,omitempty" title:"File version"`
	SharedLink        *json.RawMessage `json:"shared_link,omitempty" title:"Shared link"`
	Tags              []string         `json:"tags,omitempty" title:"Tags"`
	FolderUploadEmail *json.RawMessage `json:"folder_upload_email,omitempty" title:"E-mail upload"`
}

// User is who did something.
type User struct {
	Type  string `json:"type,omitempty"`
	ID    string `json:"id,omitempty"`
	Name  string `json:"name,omitempty"`
	Login string `json:"login,omitempty"`
}

// Reference names a folder or a version.
type Reference struct {
	Type       string `json:"type,omitempty"`
	ID         string `json:"id,omitempty"`
	SequenceID string `json:"sequence_id,omitempty"`
	ETag       string `json:"etag,omitempty"`
	Name       string `json:"name,omitempty"`
	SHA1       string `json:"sha1,omitempty"`
}

// Path is the folders above an item, the root first.
type Path struct {
	TotalCount int64       `json:"total_count"`
	Entries    []Reference `json:"entries"`
}

// Names of the properties that are tracked beside a file.
const (
	trackedID   = "File ID"
	trackedName = "File Name"
)

// maxTracked bounds a tracked value, in bytes.
const maxTracked = 256

// Tracked implements operation.Tracker: files are tracked by ID and name.
func (i *Item) Tracked() map[string]string {
	if i.Type != "file" {
		return nil
	}
	return map[string]string{trackedID: i.ID, trackedName: cut(i.Name, maxTracked)}
}

// cut shortens a text to n bytes, between characters.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	end := 0
	for at := range s {
		if at > n {
			break
		}
		end = at
	}
	return s[:end]
}

// fileFields are asked for where the caller can't choose.
const fileFields = "type,id,name,description,etag,sequence_id,sha1,size,created_at,modified_at,content_created_at,content_modified_at," +
	"created_by,modified_by,owned_by,parent,path_collection,item_status,shared_link,tags,file_version"

// folderFields are those of a folder.
const folderFields = "type,id,name,description,etag,sequence_id,size,created_at,modified_at,content_created_at,content_modified_at," +
	"trashed_at,purged_at,created_by,modified_by,owned_by,parent,path_collection,item_status,shared_link,tags,folder_upload_email"
