package stripesim

import "slices"

var productCreate = objectParams(fields{
	"active":               boolean,
	"description":          nonEmpty,
	"id":                   nonEmpty,
	"images":               array(text),
	"metadata":             metadata,
	"name":                 nonEmpty.must(),
	"shippable":            boolean,
	"statement_descriptor": nonEmpty,
	"tax_code":             nonEmpty,
	"unit_label":           nonEmpty,
	"url":                  nonEmpty,
})

var productUpdate = objectParams(fields{
	"active":               boolean,
	"default_price":        nonEmpty,
	"description":          text,
	"images":               array(text).orEmpty(),
	"metadata":             metadata,
	"name":                 nonEmpty,
	"shippable":            boolean,
	"statement_descriptor": nonEmpty,
	"tax_code":             text,
	"unit_label":           text,
	"url":                  text,
})

var productList = listParams(fields{
	"active": boolean, "created": createdRange, "ids": array(text), "shippable": boolean, "url": text,
})

// plainProductFields are stored as they were given.
var plainProductFields = []string{
	"active", "default_price", "description", "name", "shippable", "statement_descriptor", "tax_code", "unit_label", "url",
}

func (c *call) createProduct() (object, error) {
	id := c.params.str("id")
	if id == "" {
		id = newID("prod_", shortID)
	}
	if c.live(kindProduct, id) != nil {
		return nil, invalidRequest("id", "resource_already_exists", "Product already exists.")
	}
	product := newProduct(c.tx, id)
	c.changeProduct(product)
	c.put(product)
	c.emit("product.created", product)
	return product, nil
}

func newProduct(t *tx, id string) object {
	return object{
		"id":                   id,
		"object":               kindProduct,
		"active":               true,
		"created":              t.unix(),
		"default_price":        nil,
		"description":          nil,
		"features":             list{},
		"images":               list{},
		"livemode":             false,
		"metadata":             object{},
		"name":                 nil,
		"package_dimensions":   nil,
		"shippable":            nil,
		"statement_descriptor": nil,
		"tax_code":             nil,
		"type":                 "service",
		"unit_label":           nil,
		"updated":              t.unix(),
		"url":                  nil,
	}
}

func (c *call) changeProduct(product object) {
	product.set(changes(c.params, plainProductFields...))
	product["metadata"] = mergedMetadata(product.obj("metadata"), c.params)
	if images, came := c.params["images"]; came {
		product["images"] = list{}
		if images != nil {
			product["images"] = images
		}
	}
}

func (c *call) retrieveProduct() (object, error) {
	return c.fromPath(kindProduct)
}

func (c *call) updateProduct() (object, error) {
	before, err := c.fromPath(kindProduct)
	if err != nil {
		return nil, err
	}
	if price, err := c.fromParam("default_price", kindPrice); err != nil {
		return nil, err
	} else if price != nil && price.str("product") != before.id() {
		return nil, invalidRequest("default_price", "", "The price `%s` does not belong to the product `%s`.", price.id(), before.id())
	}
	product := before.clone()
	c.changeProduct(product)
	if len(previousAttributes(before, product)) > 0 {
		product["updated"] = c.unix()
	}
	c.put(product)
	c.emitUpdate("product.updated", before, product)
	return product, nil
}

func (c *call) listProducts() (object, error) {
	ids := c.params.list("ids")
	return c.page(kindProduct, "/v1/products", func(o object) bool {
		return c.fits(o, "active") && c.fits(o, "shippable") && c.fits(o, "url") &&
			(len(ids) == 0 || slices.Contains(ids, any(o.id())))
	})
}
