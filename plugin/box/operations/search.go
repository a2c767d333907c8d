package operations

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/boxconnection/connector/plugin/operation"
	"github.com/boxconnection/connector/proto/connector"
)

// maxOffset is the last place that Box's search can be paged to.
const maxOffset = 10000

// SearchInput is what to search for: query or mdfilters, and what narrows it.
type SearchInput struct {
	Query             string          `json:"query,omitempty" title:"Query" description:"Words, or a phrase in quotes; AND, OR and NOT between them." maxLength:"4096"`
	Type              string          `json:"type,omitempty" title:"Type" enum:"file,folder,web_link"`
	AncestorFolderIDs []string        `json:"ancestor_folder_ids,omitempty" title:"In folders" pattern:"^[0-9]{1,32}$"`
	FileExtensions    []string        `json:"file_extensions,omitempty" title:"File extensions" pattern:"^[^,\\s]{1,32}$"`
	ContentTypes      []string        `json:"content_types,omitempty" title:"Where to look" enum:"name,description,file_content,comments,tag"`
	CreatedAfter      string          `json:"created_after,omitempty" title:"Created after" format:"date-time"`
	CreatedBefore     string          `json:"created_before,omitempty" title:"Created before" format:"date-time"`
	UpdatedAfter      string          `json:"updated_after,omitempty" title:"Updated after" format:"date-time"`
	UpdatedBefore     string          `json:"updated_before,omitempty" title:"Updated before" format:"date-time"`
	SizeFrom          *int64          `json:"size_from,omitempty" title:"Size from" minimum:"0"`
	SizeTo            *int64          `json:"size_to,omitempty" title:"Size to" minimum:"0"`
	OwnerUserIDs      []string        `json:"owner_user_ids,omitempty" title:"Owners" pattern:"^[0-9]{1,32}$"`
	MetadataFilters   json.RawMessage `json:"mdfilters,omitempty" title:"Metadata filters" description:"One filter on a metadata template, as Box's reference has it."`
	TrashContent      string          `json:"trash_content,omitempty" title:"Trash" enum:"non_trashed_only,trashed_only"`
	Fields            []string        `json:"fields,omitempty" title:"Fields" enum:"content_created_at,content_modified_at,created_at,created_by,description,etag,expires_at,id,item_status,modified_at,modified_by,name,owned_by,parent,path_collection,purged_at,sequence_id,sha1,shared_link,size,tags,trashed_at,type"`
	PageSize          int             `json:"page_size" title:"Page size" default:"200" minimum:"1" maximum:"200"`
	MaxResults        int             `json:"max_results,omitempty" title:"At most" minimum:"1" maximum:"10200"`
}

func search(ctx context.Context, s *operation.Session, in *SearchInput, out *operation.Output[Item]) error {
	query, err := in.parameters()
	if err != nil {
		return err
	}
	offset := 0
	if at, ok := s.Resume(); ok {
		if offset, err = strconv.Atoi(string(at)); err != nil || offset < 0 {
			return unreadableCheckpoint()
		}
	}
	for {
		limit := in.PageSize
		if in.MaxResults > 0 {
			limit = min(limit, in.MaxResults-offset)
		}
		if limit <= 0 {
			return nil
		}
		query.Set("limit", strconv.Itoa(limit))
		query.Set("offset", strconv.Itoa(offset))
		var page listed
		if _, err := do(ctx, s, call{method: http.MethodGet, url: s.Endpoint("api").JoinPath("search"), query: query}, &page); err != nil {
			return err
		}
		if err := sendAll(out, page.Entries); err != nil {
			return err
		}
		offset += len(page.Entries)
		s.Progress(int64(offset), page.TotalCount)
		if len(page.Entries) == 0 || int64(offset) >= page.TotalCount {
			return nil
		}
		if offset > maxOffset {
			return connector.Errorf(connector.LimitExceeded, connector.OriginService, "Box's search shows the first %d results only, and there are more.", offset).
				Suggest("Narrow the search, by folder or by date, and search each part.")
		}
		if err := s.Checkpoint([]byte(strconv.Itoa(offset))); err != nil {
			return err
		}
	}
}

// parameters are the input as Box's search takes it.
func (in *SearchInput) parameters() (url.Values, error) {
	filters := in.MetadataFilters
	if string(filters) == "null" {
		filters = nil
	}
	if strings.TrimSpace(in.Query) == "" && len(filters) == 0 {
		return nil, connector.Errorf(connector.InputInvalid, connector.OriginSettings, "A search needs a query or metadata filters.").
			At("/query").Suggest("Give words to search for.")
	}
	query := url.Values{}
	set := func(name, value string) {
		if value != "" && value != "," {
			query.Set(name, value)
		}
	}
	set("query", in.Query)
	set("type", in.Type)
	set("trash_content", in.TrashContent)
	set("ancestor_folder_ids", strings.Join(in.AncestorFolderIDs, ","))
	set("file_extensions", strings.Join(in.FileExtensions, ","))
	set("content_types", strings.Join(in.ContentTypes, ","))
	set("owner_user_ids", strings.Join(in.OwnerUserIDs, ","))
	set("created_at_range", in.CreatedAfter+","+in.CreatedBefore)
	set("updated_at_range", in.UpdatedAfter+","+in.UpdatedBefore)
	set("size_range", number(in.SizeFrom)+","+number(in.SizeTo))
	if len(filters) > 0 {
		if filters[0] != '[' {
			filters = append(append([]byte{'['}, filters...), ']')
		}
		set("mdfilters", string(filters))
	}
	setFields(query, in.Fields)
	return query, nil
}

func number(n *int64) string {
	if n == nil {
		return ""
	}
	return strconv.FormatInt(*n, 10)
}

func unreadableCheckpoint() error {
	return connector.Errorf(connector.CheckpointUnreadable, connector.OriginConnector, "The checkpoint isn't one of this operation.").
		Suggest("Begin again without it.")
}
